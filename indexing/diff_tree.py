"""``git diff-tree`` as a process that is started before it is known what it is asked: to start takes it longer than to
answer."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

from indexing import git

_ARGUMENTS: Final = ("diff-tree", "--stdin", "-r", "-z", "--raw", "--no-renames", "--full-index")


class DiffTree:
    """One process for one question. For one thread. ``environment``: as for ``git.run``."""

    def __init__(self, environment: Mapping[str, str], timeout_seconds: float) -> None:
        self._environment = environment
        self._timeout_seconds = timeout_seconds
        self._process: subprocess.Popen[bytes] | None = None
        self._output: IO[bytes] | None = None

    def start(self) -> None:
        """Start the process. GitUnavailable."""
        if self._process is not None:
            return
        self._output = tempfile.TemporaryFile(dir=Path(self._environment["HOME"]))  # noqa: SIM115 it stays open
        self._process = git.start(
            _ARGUMENTS,
            environment=self._environment,
            stdin=subprocess.PIPE,
            stdout=self._output,
            stderr=subprocess.PIPE,
        )

    @contextmanager
    def ask(self, base: str, tree: str, on_wait: Callable[[int], None]) -> Iterator[IO[bytes]]:
        """What differs between two trees: ``:MODE MODE ID ID STATUS NUL PATH NUL`` of each path, in a file that is
        there as long as the block runs.

        Calls ``on_wait`` with its length in bytes several times a second, and at its end; it may raise to stop.
        GitFailed when a tree is not there, TransientIndexError after the time limit, GitUnavailable.
        """
        self.start()
        assert self._process is not None
        assert self._output is not None
        process, self._process = self._process, None
        with self._output as output:

            def watch() -> None:
                on_wait(os.fstat(output.fileno()).st_size)

            git.finish(
                process,
                _ARGUMENTS,
                timeout_seconds=self._timeout_seconds,
                on_wait=watch,
                question=f"{base} {tree}\n".encode(),
            )
            watch()
            output.seek(0)
            # It says which trees it has compared, unless one is missing: then it says nothing, and ends well.
            if output.readline().split() != [base.encode(), tree.encode()]:
                raise git.GitFailed("diff-tree", process.returncode, "a tree is missing")
            yield output

    def close(self) -> None:
        """End a process that was not asked."""
        process, self._process = self._process, None
        if process is not None:
            with process:
                git.kill_group(process.pid)
        if self._output is not None:
            self._output.close()
