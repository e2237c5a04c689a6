"""The faults of the soak: each is a thing that happens in production, done to real processes and a real server."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import psycopg2
from throwaway_postgres import ThrowawayPostgres

ROOT = Path(__file__).resolve().parents[2]

#: Applications of the queue's sessions, and of nobody else's.
OURS = "application_name ~ '^leasequeue (claim|finish|keep|send)'"


class Fleet:
    """Masters of one worker process each, started again when they end, as a supervisor would."""

    def __init__(self, size: int, environment: Mapping[str, str], log: Path) -> None:
        self._environment = dict(environment)
        self._log = log
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self.starts = 0
        self._masters = [self._start() for _ in range(size)]
        self._supervisor = threading.Thread(target=self._supervise, daemon=True)
        self._supervisor.start()

    def _start(self) -> subprocess.Popen[bytes]:
        self.starts += 1
        with self._log.open("ab") as output:
            return subprocess.Popen(
                [sys.executable, "-m", "dramatiq", "soaking.jobs", "-p", "1", "-t", "3"],
                cwd=ROOT / "scripts",
                env=self._environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _supervise(self) -> None:
        while not self._stopping.wait(0.3):
            with self._lock:
                self._masters = [m if m.poll() is None else self._start() for m in self._masters]

    def master(self, chance: random.Random) -> int:
        """The pid of one of them."""
        with self._lock:
            return chance.choice(self._masters).pid

    def worker(self, chance: random.Random) -> int | None:
        """The pid of one of the worker processes; None while it boots."""
        children = Path(f"/proc/{(pid := self.master(chance))}/task/{pid}/children")
        try:
            found = children.read_text().split()
        except OSError:
            return None
        return int(found[0]) if found else None

    def stop(self) -> None:
        """SIGTERM to all; returns when they have drained."""
        self._stopping.set()
        self._supervisor.join()
        for master in self._masters:
            with suppress(ProcessLookupError):
                os.kill(master.pid, signal.SIGTERM)
        for master in self._masters:
            try:
                master.wait(60)
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(master.pid, signal.SIGKILL)


class Faults:
    """Knows each fault by name; :meth:`strike` does one and returns when it is over."""

    def __init__(self, server: ThrowawayPostgres, fleet: Fleet, chance: random.Random, lease: float) -> None:
        self._server = server
        self._fleet = fleet
        self._chance = chance
        self._lease = lease
        self._over = threading.Event()  # never set: its wait is how long a fault lasts
        #: The more often named, the more often done.
        self.kinds: dict[str, tuple[int, Callable[[], None]]] = {
            "worker killed": (4, lambda: self._kill(self._fleet.worker(self._chance), signal.SIGKILL)),
            "master killed": (1, lambda: self._kill(self._fleet.master(self._chance), signal.SIGKILL)),
            "process group killed": (1, self._kill_group),
            "deploy (SIGTERM)": (4, lambda: self._kill(self._fleet.master(self._chance), signal.SIGTERM)),
            "worker stopped and continued": (3, self._stop_worker),
            "sessions cut": (4, self._cut_sessions),
            "session hangs": (2, self._hang_session),
            "server killed and started": (2, self._restart_server),
            "server read-only": (1, self._read_only),
            "table locked": (1, self._lock_table),
            "old snapshot held": (1, self._hold_snapshot),
        }

    def draw(self) -> str:
        """The name of the next fault."""
        names = list(self.kinds)
        return self._chance.choices(names, [self.kinds[name][0] for name in names])[0]

    def strike(self, name: str) -> None:
        """Do it."""
        self.kinds[name][1]()

    def _last(self, shortest: float, longest: float) -> None:
        self._over.wait(self._chance.uniform(shortest, longest))

    def _kill(self, pid: int | None, number: signal.Signals) -> None:
        if pid is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def _kill_group(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._fleet.master(self._chance), signal.SIGKILL)

    def _stop_worker(self) -> None:
        pid = self._fleet.worker(self._chance)
        self._kill(pid, signal.SIGSTOP)
        self._last(0.3 * self._lease, 2 * self._lease)
        self._kill(pid, signal.SIGCONT)

    def _run(self, statement: str, seconds: tuple[float, float] | None = None) -> list[tuple[object, ...]]:
        """One statement, in a transaction that stays open for a while where seconds are given."""
        try:
            connection = psycopg2.connect(self._server.url, connect_timeout=5)
        except psycopg2.OperationalError:
            return []
        try:
            with connection.cursor() as cursor:
                cursor.execute(statement)
                rows = cursor.fetchall() if cursor.description else []
                if seconds is not None:
                    self._last(*seconds)
            connection.commit()
            return rows
        except psycopg2.Error:
            return []  # cut off by a fault before: this one is none then
        finally:
            connection.close()

    def _sessions(self) -> list[int]:
        rows = self._run(f"SELECT pid FROM pg_stat_activity WHERE {OURS}")  # noqa: S608  # a constant
        return [int(str(pid)) for (pid,) in rows]

    def _cut_sessions(self) -> None:
        found = self._sessions()
        for pid in self._chance.sample(found, min(len(found), self._chance.randint(1, 6))):
            self._run(f"SELECT pg_terminate_backend({pid})")

    def _hang_session(self) -> None:
        found = self._sessions()
        if found:
            pid = self._chance.choice(found)
            self._kill(pid, signal.SIGSTOP)
            self._last(0.5, 12.0)
            self._kill(pid, signal.SIGCONT)

    def _restart_server(self) -> None:
        self._server.stop(immediate=True)
        self._last(0.0, 2 * self._lease)
        self._server.start()

    def _read_only(self) -> None:
        self._server.reload({"default_transaction_read_only": "on"})
        self._last(1.0, 5.0)
        self._server.reload({"default_transaction_read_only": "off"})

    def _lock_table(self) -> None:
        self._run("LOCK TABLE dramatiq.queue IN ACCESS EXCLUSIVE MODE", (0.5, 4.0))

    def _hold_snapshot(self) -> None:
        self._run("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM dramatiq.done", (2.0, 8.0))
