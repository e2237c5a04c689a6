"""A real RabbitMQ for one test run or one measurement, where it is installed: on loopback, gone when its block ends.

with RabbitMQ() as rabbit:
    RabbitmqBroker(url=rabbit.url)
"""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType

#: The server's own script: the one on a Debian's PATH changes to a user of its own and to the system's directories.
PROGRAM = next(iter(sorted(Path("/usr/lib/rabbitmq/lib").glob("rabbitmq_server-*/sbin/rabbitmq-server"))), None)

#: Erlang's name server. Ours, on a port of ours: the one that Erlang starts by itself outlives everybody.
EPMD = shutil.which("epmd")

#: Whether there is one to be had.
IS_INSTALLED = PROGRAM is not None and EPMD is not None

#: Seconds for it to take connections; four are usual on an idle machine.
START_SECONDS = 60.0

#: Seconds for the processes to end that were asked to.
STOP_SECONDS = 20.0


class RabbitMQ:
    """One node with its files in a directory of its own, and an epmd of its own. User and password are guest's."""

    def __init__(self) -> None:
        self.port, self._distribution_port, self._names_port = _free_ports(3)
        self._directory = Path(tempfile.mkdtemp(prefix="indexq-rabbitmq-"))
        self._processes: list[subprocess.Popen[bytes]] = []

    @property
    def url(self) -> str:
        """Where it listens, for BROKER_URL."""
        return f"amqp://guest:guest@127.0.0.1:{self.port}/%2F"

    def __enter__(self) -> RabbitMQ:
        assert PROGRAM is not None
        assert EPMD is not None
        names = {"ERL_EPMD_ADDRESS": "127.0.0.1", "ERL_EPMD_PORT": str(self._names_port)}
        directory = self._directory
        (directory / "plugins").write_text("[].")
        try:
            self._start([EPMD], names)
            self._wait_for(self._names_port)
            self._start(
                [str(PROGRAM)],
                names
                | {
                    "RABBITMQ_NODENAME": f"indexq-{secrets.token_hex(4)}@localhost",
                    "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
                    "RABBITMQ_NODE_PORT": str(self.port),
                    "RABBITMQ_DIST_PORT": str(self._distribution_port),
                    "RABBITMQ_MNESIA_BASE": str(directory / "data"),
                    "RABBITMQ_LOG_BASE": str(directory / "log"),
                    "RABBITMQ_ENABLED_PLUGINS_FILE": str(directory / "plugins"),
                    "RABBITMQ_CONFIG_FILE": str(directory / "none"),
                    "RABBITMQ_ADVANCED_CONFIG_FILE": str(directory / "none"),
                    # Schedulers that spin while idle would take the processor from what is tested.
                    "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1} "
                    "+sbwt none +sbwtdcpu none +sbwtdio none",
                },
            )
            self._wait_for(self.port)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def _start(self, command: list[str], environ: dict[str, str]) -> None:
        with (self._directory / "said").open("ab") as said:
            self._processes.append(
                subprocess.Popen(
                    command,
                    env={"PATH": os.environ["PATH"], "HOME": str(self._directory), **environ},
                    stdin=subprocess.DEVNULL,
                    stdout=said,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,  # Ctrl+C is for the owner
                )
            )

    def _wait_for(self, port: int) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not _listens(port):
            if time.monotonic() > deadline or self._processes[-1].poll() is not None:
                said = (self._directory / "said").read_text(errors="replace").strip()[-2000:]
                raise RuntimeError(f"expected RabbitMQ to listen within {START_SECONDS:g} s, but it said: {said}")
            time.sleep(0.05)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in reversed(self._processes):
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(STOP_SECONDS)
        shutil.rmtree(self._directory, ignore_errors=True)


def _free_ports(count: int) -> list[int]:
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [each.getsockname()[1] for each in held]
    finally:
        for each in held:
            each.close()


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True
