"""The health application in a fork of dramatiq's master: it outlives the drain, and ends with the last worker.

dramatiq's master passes its SIGTERM on to workers and forks alike, waits for the workers, and ends the forks when it
ends itself. A fork that left at the first signal would leave the drain, the one time when probes matter most, unseen.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import uvicorn
from starlette.applications import Starlette

from .checks import Checks

log = logging.getLogger("indexq.health")

#: Seconds between two looks at whether it is time to end, or whether a port that was taken is free.
LOOK_EVERY = 0.2

#: Connections that may wait to be accepted.
BACKLOG = 512

#: Niceness of our session among the sessions of the machine, where we may choose it.
SESSION_NICENESS = -10

#: Exit code for a port that was never to be had.
EXIT_NO_PORT = 1


class _Server(uvicorn.Server):
    """uvicorn without handlers of its own for signals: ours decide."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def serve_until_workers_end(app: Starlette, checks: Checks, *, master_pid: int, host: str, port: int) -> int:
    """Serve until we were told to end, or dramatiq's master is gone, and no worker process of it lives any more.

    Parameters:
      master_pid: of dramatiq's master, whose child we were born as.
    """
    _leave_the_session_of_the_workers()
    return asyncio.run(_Beside(app, checks, master_pid, host, port).run())


def _leave_the_session_of_the_workers() -> None:
    # Linux shares the processors out among sessions first (where no control group does it): in the session of workers
    # that burn them, an answer waits until the next turn of all of them together, for a third of a second and more.
    try:
        os.setsid()
    except PermissionError:  # we lead a process group, and so are nobody's fork
        return
    # Root may also say that this session comes first: an answer is a millisecond's work, and somebody waits for it.
    with contextlib.suppress(OSError):
        Path("/proc/self/autogroup").write_text(str(SESSION_NICENESS))


class _Beside:
    def __init__(self, app: Starlette, checks: Checks, master_pid: int, host: str, port: int) -> None:
        self._checks = checks
        self._host = host
        self._port = port
        self._master = master_pid
        self._told_to_end = asyncio.Event()
        config = uvicorn.Config(app, log_config=None, access_log=False, lifespan="off", timeout_graceful_shutdown=1)
        self._server = _Server(config)

    async def run(self) -> int:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._told_to_end.set)
        listener = await self._bind()
        if listener is None:
            return EXIT_NO_PORT
        log.info("health_serving host=%s port=%d", self._host, self._port)
        serving = asyncio.create_task(self._server.serve([listener]))
        while not self._is_over() and not serving.done():
            await asyncio.sleep(LOOK_EVERY)
        self._server.should_exit = True
        await serving
        return 0

    def _is_over(self) -> bool:
        is_left_alone = self._told_to_end.is_set() or os.getppid() != self._master
        return is_left_alone and not self._checks.pulses()

    async def _bind(self) -> socket.socket | None:
        """The listening socket. A port that is taken is waited for: during a deploy it is our predecessor's."""
        complained = False
        while not self._is_over():
            try:
                return _listen(self._host, self._port)
            except OSError as error:
                if not complained:
                    log.error("health_port_taken host=%s port=%d: %s; waiting for it", self._host, self._port, error)
                complained = True
            await asyncio.sleep(LOOK_EVERY)
        return None


def _listen(host: str, port: int) -> socket.socket:
    # Of protocol TCP by name: asyncio leaves Nagle's delay on for sockets that do not say so, 40 ms for each answer.
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except BaseException:
        listener.close()
        raise
    return listener
