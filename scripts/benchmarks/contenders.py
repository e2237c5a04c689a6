"""Who takes part, and where each one's program runs."""

from __future__ import annotations

import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path

#: Seconds to make a peer's environment and install into it.
INSTALL_SECONDS = 180


class PeerUnavailable(Exception):
    """A peer could not be installed; the message says what pip said."""


@dataclass(frozen=True)
class Contender:
    """One broker or queue at one setting."""

    #: As tables show it.
    name: str
    #: Module in benchmarks/programs.
    program: str
    #: SQL that says whether jobs wait or run. None: it has no database.
    unfinished: str | None
    #: What pip installs for it in an environment of its own. Empty: it runs in ours.
    packages: tuple[str, ...] = ()
    #: Extra arguments of its program when it works.
    options: tuple[str, ...] = ()
    #: Too slow for the full number of jobs, or broken by it.
    slow: bool = False
    #: Has threads, of which it can be given three or eight.
    threads: bool = True
    #: Takes part where sending is measured: one setting of each contender is enough there.
    sends: bool = True
    #: Has a bulk enqueue.
    bulk: bool = True


_DRAMATIQ_UNFINISHED = "SELECT EXISTS (SELECT FROM dramatiq.queue WHERE state IN ('queued', 'consumed'))"
_PGQUEUER_UNFINISHED = "SELECT EXISTS (SELECT FROM pgqueuer)"

STUB = Contender("StubBroker (memory)", "stub", None, sends=False)
LEASEQUEUE = Contender("leasequeue", "leasequeue", _DRAMATIQ_UNFINISHED)
DRAMATIQ_PG = Contender("dramatiq-pg 0.12", "dramatiq_pg", _DRAMATIQ_UNFINISHED, slow=True, bulk=False)

DRAMATIQ_POSTGRES = Contender(
    "dramatiq-postgres",
    "dramatiq_postgres",
    _DRAMATIQ_UNFINISHED,
    packages=("dramatiq-postgres>=1.4,<2", "psycopg[binary]"),
    slow=True,
    bulk=False,
)
PGQUEUER = Contender(
    "pgqueuer", "pgqueuer", _PGQUEUER_UNFINISHED, packages=("pgqueuer[asyncpg]", "uvloop"), threads=False
)
PGQUEUER_BATCH = Contender(
    "pgqueuer, batch 100",
    "pgqueuer",
    _PGQUEUER_UNFINISHED,
    packages=PGQUEUER.packages,
    options=("--batch", "100"),
    threads=False,
    sends=False,
)
PROCRASTINATE = Contender(
    "procrastinate",
    "procrastinate",
    "SELECT EXISTS (SELECT FROM procrastinate_jobs WHERE status IN ('todo', 'doing'))",
    packages=("procrastinate>=3,<4", "psycopg[binary]"),
    slow=True,
)

OURS = (STUB, LEASEQUEUE, DRAMATIQ_PG)
PEERS = (DRAMATIQ_POSTGRES, PGQUEUER, PGQUEUER_BATCH, PROCRASTINATE)


class Environments:
    """The Python of each contender; peers are installed below `directory` when they are first asked for."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def python(self, contender: Contender) -> Path:
        """The interpreter that runs a contender's program. Raises PeerUnavailable."""
        if not contender.packages:
            return Path(sys.executable)
        environment = self._directory / contender.program
        python = environment / "bin" / "python"
        stamp = environment / "installed"
        wanted = "\n".join(contender.packages)
        if stamp.exists() and stamp.read_text() == wanted:
            return python
        venv.create(environment, clear=True, with_pip=True)
        self._pip(python, "install", "--quiet", "--disable-pip-version-check", *contender.packages)
        stamp.write_text(wanted)
        return python

    def versions(self, contender: Contender) -> dict[str, str]:
        """What is installed beside a peer: package -> version."""
        lines = self._pip(self.python(contender), "freeze", "--disable-pip-version-check").splitlines()
        return dict(line.split("==", 1) for line in lines if "==" in line)

    def _pip(self, python: Path, *arguments: str) -> str:
        try:
            done = subprocess.run(
                [python, "-m", "pip", *arguments],
                capture_output=True,
                text=True,
                timeout=INSTALL_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise PeerUnavailable(f"pip {arguments[0]} did not end within {INSTALL_SECONDS} s") from None
        if done.returncode != 0:
            said = done.stderr.strip().splitlines()[-1:] or ["nothing"]
            raise PeerUnavailable(f"pip {arguments[0]} failed; it said: {said[0]}")
        return done.stdout
