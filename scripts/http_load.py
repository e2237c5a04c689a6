"""Requests at a fixed rate over kept connections, and what came back: for scripts that measure answers."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO


@dataclass
class Result:
    """What the senders of one phase saw."""

    codes: Counter[int] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    #: Seconds that the sender was late: how long it waited for a processor itself, whatever the answer took.
    late: list[float] = field(default_factory=list)

    def at(self, share: float) -> float:
        """The seconds within which this share of the answers came."""
        return sorted(self.seconds)[min(len(self.seconds) - 1, int(share * len(self.seconds)))]


class Client:
    """Connections that are kept and used again, as load balancers and proxies do it.

    repeats: whether a request may be sent again when its connection was closed for having been idle; for those that
    change nothing.
    """

    def __init__(self, port: int, *, repeats: bool) -> None:
        self._port = port
        self._repeats = repeats
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def ask(self, request: bytes, result: Result, since: float | None = None) -> None:
        """Send a request and note its answer; timed from ``since`` (monotonic seconds), or from now."""
        since = time.monotonic() if since is None else since
        while True:
            reader, writer = self._idle.pop() if self._idle else await asyncio.open_connection("127.0.0.1", self._port)
            try:
                writer.write(request)
                head = await reader.readuntil(b"\r\n\r\n")
                await reader.readexactly(int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0]))
            except (asyncio.IncompleteReadError, ConnectionError):
                writer.close()
                if not self._repeats:
                    raise
            else:
                break
        self._idle.append((reader, writer))
        result.codes[int(head.split()[1])] += 1
        result.seconds.append(time.monotonic() - since)

    async def fire(self, requests: Sequence[bytes], rate: float, *, from_due: bool) -> Result:
        """Send so many a second, whatever became of those before. ``from_due``: timed from when each was due."""
        result = Result()
        started = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for number, request in enumerate(requests):
                due = started + number / rate
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                result.late.append(time.monotonic() - due)
                group.create_task(self.ask(request, result, due if from_due else None))
        self.close()
        return result

    def close(self) -> None:
        for _, writer in self._idle:
            writer.close()


@contextmanager
def running(
    command: Sequence[str], directory: Path, environ: Mapping[str, str], output: IO[bytes] | int = subprocess.DEVNULL
) -> Iterator[None]:
    """A program in a process group of its own, with these variables besides ours; killed at the end."""
    process = subprocess.Popen(
        [*command],
        cwd=directory,
        env={**os.environ, **environ},
        stdout=output,
        stderr=output,
        start_new_session=True,
    )
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
