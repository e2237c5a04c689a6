"""What is true of a process by its id: the kernel's word, not a pid file's."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

#: Seconds for `ps`, where there is no /proc.
PS_SECONDS = 5

_HAS_PROC = sys.platform == "linux"


def is_postgres_in(pid: int, directory: Path) -> bool:
    """Whether process `pid` is alive and a Postgres process of the cluster in `directory`.

    A process that was killed and not yet reaped by its parent still answers `kill(pid, 0)`, and an id may
    have been given to somebody else. Every Postgres process works in its data directory; a zombie works in
    none.
    """
    if not _HAS_PROC:
        return _is_postgres_by_ps(pid)
    try:
        return Path(f"/proc/{pid}/cwd").samefile(directory)
    except FileNotFoundError:
        return False
    except PermissionError:
        # Another user's process and no right to trace it (a small container): state and name are open.
        return _is_postgres_by_stat(pid)


def processes_below(directory: Path) -> Iterator[int]:
    """Ids of live processes that work in `directory` or below it. Empty where there is no /proc."""
    if not _HAS_PROC:
        return
    inside = directory.resolve()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            working = (entry / "cwd").readlink()
        except OSError:
            continue
        if working == inside or inside in working.parents:
            yield int(entry.name)


def _is_postgres_by_stat(pid: int) -> bool:
    try:
        name, _, rest = Path(f"/proc/{pid}/stat").read_text().partition("(")[2].rpartition(")")
    except OSError:
        return False
    return name.startswith("postgres") and rest.split()[0] not in "ZX"


def _is_postgres_by_ps(pid: int) -> bool:
    answer = subprocess.run(
        ["ps", "-o", "stat=", "-o", "comm=", "-p", str(pid)],
        capture_output=True,
        text=True,
        timeout=PS_SECONDS,
        check=False,
    )
    state, _, name = answer.stdout.strip().partition(" ")
    return "postgres" in name and not state.startswith("Z")
