"""How much of anything one job may take. Units are in the names."""

from __future__ import annotations

import os
from dataclasses import dataclass

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB

#: Parsers of one job. Two: a third one waits for the parent, which reads and stores.
_MOST_USEFUL_PROCESSES = 2


def _default_parse_processes() -> int:
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(_MOST_USEFUL_PROCESSES, usable))


@dataclass(frozen=True)
class Limits:
    """What one ``index_commit`` may use; the defaults suit a worker with 2 cores and 1 GB."""

    #: A larger file is skipped as ``too_large``: generated or data, and its parse tree takes 100 times its size.
    max_file_bytes: int = 1 * MIB
    #: A commit with more files is refused; the largest public repositories have 400,000.
    max_files: int = 500_000
    #: A commit whose list of paths is longer is refused: a tree of 200 KB can list 10^10 paths.
    max_listing_bytes: int = 256 * MIB
    #: A remote fetch that takes more room on disk is stopped and refused.
    max_fetch_bytes: int = 4 * GIB

    #: A git command that reads the object store.
    git_timeout_seconds: float = 120.0
    #: Everything that talks to a remote, each command.
    fetch_timeout_seconds: float = 600.0

    #: Parser processes of one job.
    parse_processes: int = _default_parse_processes()
    #: CPU time of one file; beyond it the file is skipped as ``parse_timeout``.
    parse_seconds: float = 2.0
    #: CPU time beyond ``parse_seconds`` until the kernel ends a parser that does not stop by itself.
    parse_kill_cpu_seconds: float = 1.0
    #: Real time without an answer until a parser is killed that uses no CPU time; ten times as much for one that does,
    #: because a busy machine is not the file's fault.
    parse_silence_seconds: float = 30.0
    #: Address space of one parser process.
    parse_memory_bytes: int = 1 * GIB
    #: A file with more symbols is skipped as ``too_many_symbols``: generated, and of no use to a search.
    max_symbols_per_file: int = 50_000

    #: Where temporary files go (paths of the commit, fetched objects); None: the system's place.
    work_directory: str | None = None

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if name != "work_directory" and value is not None and value <= 0:
                raise ValueError(f"expected {name} to be more than 0, got {value}")
