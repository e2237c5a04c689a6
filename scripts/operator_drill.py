"""An incident to practise on, and the transcript of its solution in docs/operations.md.

1,000 jobs, of which 200 die because a mirror is down, 100 because of what they read, and 5 by killing their worker.
The drill runs the commands of an operator who finds out, lets the mirror be repaired, tries one job, puts the rest
back, and ends with exactly the 100 dead; it fails when anything else comes out. It prints commands and answers::

    .venv/bin/python scripts/operator_drill.py
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg2
from drilling import plan
from throwaway_postgres import ThrowawayPostgres

ROOT = Path(__file__).resolve().parent.parent

#: Seconds until everything has come to an end, with some fifteen restarts of a worker.
PATIENCE = 300.0

#: Seconds for the workers to leave before they are killed.
STOP_SECONDS = 60.0

#: Quick retries and a quick rescue: an incident that takes minutes instead of an hour.
SETTINGS = {
    "RETRY_LIMIT": "1",
    "RETRY_DELAY": "0.5",
    "RETRY_MAX_DELAY": "0.5",
    "HEARTBEAT_SECONDS": "0.5",
    "LEASE_SECONDS": "5",
    "WORKER_TEAM_SIZE": "4",
}


class Drill:
    """One database, its workers, and an operator at a terminal."""

    def __init__(self, url: str, directory: Path) -> None:
        self._url = url
        self._log = directory / "workers.log"
        self.mirror_down = directory / "mirror-down"
        self._environ = {
            **os.environ,
            **SETTINGS,
            "SUPABASE_DB_URL": url,
            "DRILL_MIRROR_DOWN": str(self.mirror_down),
            "PYTHONPATH": f"{ROOT / 'scripts'}:{ROOT}",
        }

    @contextmanager
    def workers(self) -> Iterator[None]:
        """Workers under a supervisor that starts them again whenever they end."""
        over = threading.Event()
        running: list[subprocess.Popen[bytes]] = []

        def supervise() -> None:
            command = [sys.executable, "-m", "dramatiq", "drilling.actors", "-p", "1", "-t", "4"]
            while not over.is_set():
                with self._log.open("ab") as log:
                    child = subprocess.Popen(
                        command, cwd=ROOT, env=self._environ, stdout=log, stderr=log, start_new_session=True
                    )
                running.append(child)
                child.wait()

        supervisor = threading.Thread(target=supervise)
        supervisor.start()
        try:
            yield
        finally:
            over.set()
            running[-1].send_signal(signal.SIGTERM)
            supervisor.join(STOP_SECONDS)
            if supervisor.is_alive():
                os.killpg(running[-1].pid, signal.SIGKILL)

    def indexq(self, *arguments: str, shown: bool = True) -> str:
        """What a command says, printed as a terminal shows it."""
        command: list[str | Path] = [Path(sys.executable).with_name("indexq"), *arguments]
        ran = subprocess.run(
            command,
            cwd=self._log.parent,
            env=self._environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if shown else None,
            text=True,
            check=False,
        )
        if shown:
            words = " ".join(f"'{each}'" if " " in each else each for each in arguments)
            print(f"$ indexq {words}\n{ran.stdout}", flush=True)
        return str(ran.stdout)

    def send(self) -> None:
        """Send all jobs."""
        program = "from drilling.actors import mirror; from leasequeue import send_many; "
        program += f"send_many(mirror, [(n,) for n in range(1, {plan.JOBS} + 1)])"
        subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=self._environ, check=True)

    def ask(self, statement: str) -> list[tuple[Any, ...]]:
        """Rows of the drill's database."""
        connection = psycopg2.connect(self._url)
        try:
            with connection, connection.cursor() as cursor:
                cursor.execute(statement)
                return cursor.fetchall()
        finally:
            connection.close()

    def wait(self) -> None:
        """Until every job has come to an end."""
        deadline = time.monotonic() + PATIENCE
        while self.ask("SELECT 1 FROM dramatiq.queue WHERE state IN ('queued', 'consumed') LIMIT 1"):
            if time.monotonic() > deadline:
                raise SystemExit(f"expected every job to end within {PATIENCE:g} s, got: {self.ask(COUNTS)}")
            time.sleep(0.2)

    def cause(self, reason: str) -> str:
        """The id of what jobs died of for a reason."""
        causes = json.loads(self.indexq("dead", "list", "--reason", reason, "--json", shown=False))["causes"]
        return str(causes[0]["cause"])


COUNTS = "SELECT coalesce(reason, state::text), count(*) FROM dramatiq.queue GROUP BY 1 ORDER BY 1"


def solve(drill: Drill) -> None:
    """What the operator does."""
    drill.indexq("queues")
    drill.indexq("dead", "list")
    unreachable = drill.cause("retries_exhausted")
    (job,) = json.loads(
        drill.indexq("dead", "list", "--jobs", "--cause", unreachable, "--limit", "1", "--json", shown=False)
    )["jobs"]
    drill.indexq("dead", "show", job["message_id"])
    drill.indexq("dead", "retry", "--all-matching", "--cause", unreachable, "--dry-run")
    drill.indexq("dead", "retry", "--all-matching", "--cause", unreachable, "--canary", "--yes")
    print("(The mirror is repaired.)\n")
    drill.mirror_down.unlink()
    drill.wait()
    drill.indexq("dead", "retry", "--all-matching", "--cause", unreachable, "--canary", "--yes")
    drill.indexq("dead", "discard", "--all-matching", "--reason", "crashed", "--yes")
    drill.wait()
    drill.indexq("dead", "list")
    drill.indexq("queues")


def main() -> None:
    """Run the drill in a database of its own and check how it ends."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # ends the workers on the way
    with tempfile.TemporaryDirectory(prefix="indexq-drill-") as directory, ThrowawayPostgres() as server:
        drill = Drill(server.url, Path(directory))
        drill.indexq("migrate", shown=False)
        drill.mirror_down.touch()
        drill.send()
        with drill.workers():
            started = time.monotonic()
            drill.wait()
            print(f"(Every job has ended after {time.monotonic() - started:.0f} s.)\n")
            found = drill.ask(COUNTS)
            expected = [("crashed", 5), ("permanent", 100), ("retries_exhausted", 200)]
            if found != expected:
                raise SystemExit(f"expected {expected} to be dead, got: {found}")
            solve(drill)
        left = drill.ask(COUNTS)
        if left != [("discarded", 5), ("permanent", 100)]:
            raise SystemExit(f"expected exactly the other cause's 100 jobs to be dead, got: {left}")
        ((done,),) = drill.ask("SELECT count(*) FROM dramatiq.done")
        if done != 895:
            raise SystemExit(f"expected 895 jobs to be done, got: {done}")
    print("As it should be: 895 jobs are done, 100 are dead of the other cause, 5 were put aside.")


if __name__ == "__main__":
    main()
