"""The floor: what pgbench, with the same statement on the same table, gets out of the same server."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

from postgres_programs import clean_environment

#: Seconds beyond the asked ones that pgbench gets to connect and to end.
SPARE_SECONDS = 120.0

_RATE = re.compile(r"^tps = ([\d.]+) \(without initial connection time\)", re.MULTILINE)


class PgbenchFailed(Exception):
    """pgbench ended with an error, or printed no rate."""


class Pgbench:
    """Runs one-statement scripts as several clients. Its rate leaves out the time to connect, as ours does."""

    def __init__(self, bin_directory: Path, workplace: Path) -> None:
        self._program = bin_directory / "pgbench"
        self._workplace = workplace

    def rate(self, url: str, statement: str, *, clients: int, transactions: int) -> float:
        """Transactions a second when each client sends its share of `transactions`."""
        process = self.start(url, statement, clients=clients, stop=("-t", str(max(1, transactions // clients))))
        return self.result(process, SPARE_SECONDS)

    def start(self, url: str, statement: str, *, clients: int, stop: tuple[str, str]) -> subprocess.Popen[str]:
        """Begin to send `statement` until `stop` (("-t", transactions of each client) or ("-T", seconds))."""
        script = self._workplace / "pgbench.sql"
        # pgbench replaces :name by a variable; a doubled colon is a cast and stays.
        script.write_text(statement + ";\n")
        parts = urlsplit(url)
        environment = {
            **clean_environment(),
            "PGHOST": parts.hostname or "",
            "PGPORT": str(parts.port or 5432),
            "PGUSER": parts.username or "",
            "PGPASSWORD": parts.password or "",
            "PGDATABASE": parts.path.lstrip("/"),
        }
        threads = min(clients, os.cpu_count() or 1, 2)
        return subprocess.Popen(
            [self._program, "-n", "-c", str(clients), "-j", str(threads), *stop, "-f", script],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def result(self, process: subprocess.Popen[str], seconds: float) -> float:
        """Wait for a started pgbench, at most `seconds`, and return its rate."""
        try:
            said, _ = process.communicate(timeout=seconds)
        except BaseException:
            process.kill()
            process.wait()
            raise
        found = _RATE.search(said)
        if process.returncode != 0 or found is None:
            raise PgbenchFailed(f"expected a rate, but pgbench ended with {process.returncode}: {said.strip()[-500:]}")
        return float(found.group(1))
