"""A Postgres server of our own, in a directory of our own: for development, and for tests.

    python scripts/embedded_postgres.py start|stop|status|url --directory .local/postgres [--port N]

The directory holds everything:

    data/       the cluster            password    of the superuser `postgres`, readable by the owner only
    log         what the server says   port        the port of the last start: a restart asks for it again
    lock        held while somebody starts or stops it

The server listens on 127.0.0.1 with a password (scram) and on nothing else. It outlives the process that
started it; whoever starts it again gets the running one.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import random
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote

import psycopg2
from postgres_programs import (
    Identity,
    PostgresError,
    choose_identity,
    clean_environment,
    find_bin_directory,
    major_version,
)
from process_facts import is_postgres_in, processes_below

HOST = "127.0.0.1"

#: Asked for on the first start. Below the range from which kernels hand out ports by themselves.
DEFAULT_PORT = 15432

#: Ports tried where the wanted one is taken. Outside the ephemeral range: a client that keeps knocking at a
#: stopped server's port must not be given that very port as its own, connect to itself and hold it.
FREE_PORTS = range(20_000, 32_000)

#: Attempts to find a port before giving up.
PORT_ATTEMPTS = 8

#: Seconds until a started server must accept connections. Recovery after a crash is part of it.
START_SECONDS = 60.0

#: Seconds a stop may take before it is made harder: fast, then immediate, then kill.
STOP_SECONDS = 30.0

#: Seconds that an orphaned server process gets to notice that its postmaster is gone.
ORPHAN_SECONDS = 5.0

#: Seconds to make a cluster. Half a second is usual, a slow disk with fsync takes several.
INITDB_SECONDS = 120

#: Bytes that must be free for a cluster to be made: it takes 60 MB, and its log as much soon after.
ROOM = 200 * 1024**2

#: Seconds between two looks at a fact that nobody announces.
LOOK_SECONDS = 0.01

#: Read by the server besides its own postgresql.conf; rewritten by every start and reload.
SETTINGS_FILE = "launcher.conf"


class EmbeddedPostgres:
    """One cluster in `directory`, running or not.

    port: the TCP port wanted; None: that of the last start, else DEFAULT_PORT; 0: that of the last start,
    else any. A port that is taken is replaced by a free one.
    bin_directory: whose programs; None: see postgres_programs.find_bin_directory.
    settings: for launcher.conf, values as Postgres prints them (`{"fsync": "off"}`).
    """

    def __init__(
        self,
        directory: Path | str,
        *,
        port: int | None = None,
        bin_directory: Path | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self.directory = Path(directory).absolute()
        self.data_directory = self.directory / "data"
        self.log_file = self.directory / "log"
        self.bin_directory = bin_directory
        self.settings = dict(settings or {})
        self._wanted_port = port
        self._process: subprocess.Popen[bytes] | None = None

    # -- facts

    @property
    def pid(self) -> int | None:
        """The postmaster's process id, or None when no server runs."""
        if self._process is not None and self._process.poll() is not None:
            self._process = None  # Our own child, reaped by poll: it does not stay a zombie.
        pid = self._pid_file_value(0)
        if pid is None or not is_postgres_in(pid, self.data_directory):
            return None
        return pid

    @property
    def port(self) -> int:
        """The port of the running server, else of the last start. PostgresError before the first start."""
        port = self._pid_file_value(3) if self.pid is not None else None
        port = port or self._last_port()
        if port is None:
            raise PostgresError(f"expected a server to have been started in {self.directory}, found none; start it")
        return port

    @property
    def url(self) -> str:
        """The URL of the database `postgres`, with the password."""
        return self.url_of("postgres")

    def url_of(self, database: str) -> str:
        """The URL of `database`, with the password."""
        port = self.port
        return f"postgresql://postgres:{self._password()}@{HOST}:{port}/{quote(database, safe='')}"

    def pid_file_lines(self) -> list[str]:
        """The server's own postmaster.pid; empty when it is not there. May be left over from a killed one."""
        try:
            return (self.data_directory / "postmaster.pid").read_text().splitlines()
        except (FileNotFoundError, NotADirectoryError):
            return []

    # -- verbs

    def start(self) -> str:
        """Make the cluster if there is none, start the server unless it runs, and return its URL.

        Safe from several processes at once: one starts it, the others get the same server. Raises
        PostgresError with the end of the log when the server does not come up.
        """
        _private_directory(self.directory)
        with self._lock():
            if self._is_usable():
                return self.url
            self._clear_remains()
            programs = self.bin_directory or find_bin_directory()
            identity = choose_identity(programs, self.directory)
            if not self.data_directory.exists():
                self._make_cluster(programs, identity)
            for port in self._ports():
                if self._launch(programs, identity, port):
                    (self.directory / "port").write_text(f"{port}\n")
                    return self.url
            raise self._failure("expected a free port on 127.0.0.1, but every one tried was taken")

    def stop(self, *, immediate: bool = False, deadline_seconds: float = STOP_SECONDS) -> None:
        """End the server; nothing happens when none runs.

        Fast: clients are disconnected, work is rolled back, data is written. `immediate`: as after a power
        failure; the next start recovers. A stop that misses its deadline is made harder.
        """
        if not self.directory.exists():
            return
        with self._lock():
            pid = self.pid
            steps = [signal.SIGQUIT, signal.SIGKILL] if immediate else [signal.SIGINT, signal.SIGQUIT, signal.SIGKILL]
            for step in steps:
                if pid is None or not _signal(pid, step):
                    break
                if self._wait(lambda: self.pid is None, deadline_seconds):
                    break
            else:
                raise self._failure(f"expected the server (process {pid}) to end, but it still runs")

    def reload(self, settings: Mapping[str, str]) -> None:
        """Set `settings` on top of the present ones in the running server, and return when it has read them.

        What Postgres only reads at start takes effect at the next start.
        """
        self.settings.update(settings)
        pid = self.pid
        if pid is None:
            raise PostgresError(f"expected a running server in {self.directory}, found none; start it first")
        with closing(self._connect()) as connection:
            loaded_before = _config_loaded_at(connection)
            self._write_settings(self.port)
            _signal(pid, signal.SIGHUP)
            if not self._wait(lambda: _config_loaded_at(connection) != loaded_before, START_SECONDS):
                raise self._failure("expected the server to reload its settings, but it did not")

    # -- start, step by step

    def _is_usable(self) -> bool:
        """Whether a server runs here and lets us in. One that is just dying counts as gone."""
        if self.pid is None:
            return False
        try:
            self._wait_until_ready()
        except PostgresError:
            if self._wait(lambda: self.pid is None, ORPHAN_SECONDS):
                return False
            raise
        return True

    def _clear_remains(self) -> None:
        """Wait out what a killed postmaster left behind, then remove its pid file.

        Postgres trusts any live process with that id, also a zombie or a stranger, and would refuse to start.
        The children go first: two generations of processes on one cluster would ruin it.
        """
        pid_file = self.data_directory / "postmaster.pid"
        if not pid_file.exists():
            return
        if not self._wait(lambda: not self._orphans(), ORPHAN_SECONDS):
            for pid in self._orphans():
                _signal(pid, signal.SIGKILL)
            self._wait(lambda: not self._orphans(), ORPHAN_SECONDS)
        pid_file.unlink(missing_ok=True)

    def _orphans(self) -> list[int]:
        return list(processes_below(self.data_directory))

    def _make_cluster(self, programs: Path, identity: Identity) -> None:
        """initdb beside the final place, then rename: a data directory is whole or absent."""
        free = shutil.disk_usage(self.directory).free
        if free < ROOM:
            wanted = f"{ROOM // 1024**2} MB free on the disk of {self.directory}"
            raise PostgresError(f"expected {wanted}, got: {free // 1024**2} MB; make room")
        making = self.directory / "data.making"
        shutil.rmtree(making, ignore_errors=True)
        password_file = self.directory / "password"
        password_file.unlink(missing_ok=True)
        with os.fdopen(os.open(password_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(f"{secrets.token_urlsafe(24)}\n")
        identity.take_over(password_file)
        command: list[Path | str] = [
            *identity.prefix,
            programs / "initdb",
            f"--pgdata={making}",
            "--username=postgres",
            f"--pwfile={password_file}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            *_locale_options(major_version(programs)),
            *(["--no-sync"] if self.settings.get("fsync") == "off" else []),
        ]
        if self._run(command, identity) != 0:
            raise self._failure("expected initdb to make a cluster, but it failed")
        with (making / "postgresql.conf").open("a") as file:
            file.write(f"\ninclude_if_exists '{SETTINGS_FILE}'\n")
        making.rename(self.data_directory)

    def _launch(self, programs: Path, identity: Identity, port: int) -> bool:
        """Start the server on `port`; False when somebody else took the port meanwhile."""
        self._write_settings(port)
        with self.log_file.open("ab") as log:
            said_before = log.tell()
            self._process = subprocess.Popen(
                [*identity.prefix, programs / "postgres", "-D", self.data_directory],
                stdin=subprocess.DEVNULL,
                stdout=log,  # A file: a pipe would be inherited and held open by the daemon.
                stderr=log,
                cwd=self.data_directory,
                env=clean_environment(),
                user=identity.user,
                group=identity.group,
                extra_groups=identity.extra_groups,
                start_new_session=True,  # Ctrl+C in the terminal is for the caller, not for the server.
            )
        try:
            self._wait_until_ready()
        except PostgresError:
            with self.log_file.open("rb") as log:
                log.seek(said_before)
                port_taken = b"could not bind" in log.read()
            if port_taken and self.pid is None:
                return False
            raise
        return True

    def _wait_until_ready(self) -> None:
        """Until the server says so in its pid file and lets us in."""
        deadline = time.monotonic() + START_SECONDS
        while (self.pid_file_lines()[7:8] or [""])[0].strip() != "ready":
            if self._has_ended():
                raise self._failure("expected the server to start, but it ended")
            if time.monotonic() > deadline:
                raise self._failure(f"expected the server to be ready within {START_SECONDS:.0f} s, it is not")
            threading.Event().wait(LOOK_SECONDS)
        try:
            self._connect().close()
        except psycopg2.OperationalError as error:
            raise self._failure(f"expected the server to let postgres in, but: {str(error).strip()}") from None

    def _has_ended(self) -> bool:
        if self._process is not None:
            return self._process.poll() is not None
        return self.pid is None

    def _ports(self) -> Iterator[int]:
        """Ports to try: the wanted, the last, then any that is free at this moment."""
        asked = [self._wanted_port, self._last_port(), DEFAULT_PORT if self._wanted_port is None else 0]
        candidates = [port for port in asked if port]
        candidates += random.sample(FREE_PORTS, 100)
        free = (port for port in candidates if is_port_free(port))
        for _, port in zip(range(PORT_ATTEMPTS), free, strict=False):
            yield port

    # -- small parts

    @contextmanager
    def _lock(self) -> Iterator[None]:
        with (self.directory / "lock").open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _write_settings(self, port: int) -> None:
        lines = {
            "listen_addresses": HOST,
            "port": str(port),
            "unix_socket_directories": "",  # A socket path may not exceed about 100 bytes, a checkout's may.
            "logging_collector": "off",
            **self.settings,
        }
        text = "".join(f"{name} = '{value.replace(chr(39), chr(39) * 2)}'\n" for name, value in lines.items())
        target = self.data_directory / SETTINGS_FILE
        target.write_text(text)
        target.chmod(0o644)  # Written by root, it must be readable for the user that the server dropped to.

    def _run(self, command: list[Path | str], identity: Identity) -> int:
        with self.log_file.open("ab") as log:
            return subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.directory,
                env=clean_environment(),
                user=identity.user,
                group=identity.group,
                extra_groups=identity.extra_groups,
                timeout=INITDB_SECONDS,
                check=False,
            ).returncode

    def _wait(self, fact: Callable[[], bool], seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while not fact():
            if time.monotonic() > deadline:
                return False
            threading.Event().wait(LOOK_SECONDS)
        return True

    def _connect(self) -> psycopg2.extensions.connection:
        connection = psycopg2.connect(self.url, connect_timeout=10)
        connection.autocommit = True
        return connection

    def _pid_file_value(self, line: int) -> int | None:
        lines = self.pid_file_lines()
        return int(lines[line]) if len(lines) > line and lines[line].strip().isdigit() else None

    def _last_port(self) -> int | None:
        try:
            return int((self.directory / "port").read_text())
        except (FileNotFoundError, ValueError):
            return None

    def _password(self) -> str:
        return (self.directory / "password").read_text().strip()

    def _failure(self, what: str) -> PostgresError:
        try:
            last = self.log_file.read_text(errors="replace").splitlines()[-5:]
        except FileNotFoundError:
            last = []
        said = " / ".join(line.strip() for line in last if line.strip())
        return PostgresError(f"{what}; see {self.log_file}" + (f", which ends: {said}" if said else ""))


def is_port_free(port: int) -> bool:
    """Whether a server could listen on `port` of the loopback address at this moment."""
    with closing(socket.socket(socket.AF_INET, socket.SOCK_STREAM)) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # As Postgres does: TIME_WAIT is no obstacle.
        try:
            probe.bind((HOST, port))
            probe.listen(1)
        except OSError:
            return False
    return True


def _private_directory(directory: Path) -> None:
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise PostgresError(
            f"expected to make the directory {directory}, got: {error.strerror}; choose another one"
        ) from None
    if not os.access(directory, os.R_OK | os.W_OK | os.X_OK):
        raise PostgresError(
            f"expected {directory} to be yours, but it belongs to user {directory.stat().st_uid}; "
            "run as that user, or remove the directory"
        )


def _locale_options(version: int) -> list[str]:
    """UTF-8 rules that do not depend on the machine: plain C would leave É alone in lower('É')."""
    if version >= 17:
        return ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
    return ["--locale=C.UTF-8" if sys.platform == "linux" else "--locale=C"]


def _signal(pid: int, number: signal.Signals) -> bool:
    """Whether the process was there to be signalled."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


def _config_loaded_at(connection: psycopg2.extensions.connection) -> object:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_conf_load_time()")
        row = cursor.fetchone()
    return row and row[0]


def main(arguments: list[str] | None = None) -> int:
    """The command line; prints the URL (start, url) or one line of state. Returns the exit code."""
    parser = argparse.ArgumentParser(description="A Postgres server of our own, in a directory of our own.")
    parser.add_argument("verb", choices=["start", "stop", "status", "url"])
    parser.add_argument("--directory", type=Path, default=Path(".local/postgres"))
    parser.add_argument("--port", type=int, help=f"wanted port (default: the last one, else {DEFAULT_PORT})")
    chosen = parser.parse_args(arguments)
    server = EmbeddedPostgres(chosen.directory, port=chosen.port)
    try:
        if chosen.verb == "start":
            print(server.start())
        elif chosen.verb == "stop":
            server.stop()
        elif chosen.verb == "url":
            print(server.url)
        elif server.pid is None:
            print(f"stopped ({server.directory})")
            return 3
        else:
            print(f"running on port {server.port}, process {server.pid} ({server.directory})")
    except PostgresError as error:
        print(f"embedded_postgres: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
