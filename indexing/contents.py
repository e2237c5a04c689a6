"""The contents of a commit that were never seen: read from git in portions, parsed, stored in batches as they come."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Final

import psycopg2
from psycopg2.extensions import connection as Connection  # noqa: N812 a class, whatever the driver calls it

from indexing import store
from indexing.frames import Rows
from indexing.limits import MIB, Limits
from indexing.listing import Entry
from indexing.objects import ObjectStore
from indexing.parsers import Parsers, Task
from indexing.report import Reporter
from indexing.store import Blob

#: Contents read from git at once end with the file that reaches one of these.
_READ_FILES: Final = 1000
_READ_BYTES: Final = 8 * MIB

#: What is stored in one transaction ends with the file that reaches one of these: parsers have work for about as long.
_STORE_BLOBS: Final = 500
_STORE_SYMBOLS: Final = 5000
#: Names remembered at most: some 20 MB.
_KNOWN_NAMES: Final = 200_000
#: So long a killed job may have parsed for nothing, in seconds.
_STORE_SECONDS: Final = 5.0


def parse_contents(
    connection: Connection,
    objects: ObjectStore,
    entries: Iterable[Entry],
    limits: Limits,
    reporter: Reporter,
    parser_command: Sequence[str],
) -> set[str]:
    """Store what is in the contents of entries, and return the ids of those that could not be read.

    Reports, and thereby may be stopped, several times a second; what was stored until then stays.
    """
    unreadable: set[str] = set()
    batch = _Batch(connection, reporter)
    try:
        with Parsers(limits, command=parser_command) as parsers:
            tasks = _new_contents(connection, objects, entries, reporter, unreadable)
            for task, parsed in parsers.parse(tasks, reporter.tick):
                batch.add(Blob(task.oid, task.language), parsed)
                reporter.add(files=1, size_bytes=len(task.content), symbols=parsed.symbol_count)
                if batch.is_full:
                    batch.store()
                    reporter.tick()
    except BaseException:
        # A batch takes less than the second that a stop may take; where the database is the reason, it is lost.
        with suppress(psycopg2.Error):
            batch.store()
        raise
    batch.store()
    return unreadable


class _Batch:
    """Parsed contents on their way to the database."""

    def __init__(self, connection: Connection, reporter: Reporter) -> None:
        self._connection = connection
        self._reporter = reporter
        # Two portions read from git may have a content in common.
        self._parsed: dict[Blob, Rows] = {}
        self._symbols = 0
        self._oldest = 0.0
        # Stored by this job: most names come again, and each would be looked up again.
        self._names: set[str] = set()

    @property
    def is_full(self) -> bool:
        return (
            len(self._parsed) >= _STORE_BLOBS
            or self._symbols >= _STORE_SYMBOLS
            or time.monotonic() > self._oldest + _STORE_SECONDS
        )

    def add(self, blob: Blob, parsed: Rows) -> None:
        if not self._parsed:
            self._oldest = time.monotonic()
        self._parsed[blob] = parsed
        self._symbols += parsed.symbol_count

    def store(self) -> None:
        if self._parsed:
            with self._reporter.timed("store"), self._connection, self._connection.cursor() as cursor:
                store.store_blobs(cursor, self._parsed, self._names)
            self._parsed.clear()
            if len(self._names) > _KNOWN_NAMES:
                self._names.clear()
            self._symbols = 0


def _new_contents(
    connection: Connection, objects: ObjectStore, entries: Iterable[Entry], reporter: Reporter, unreadable: set[str]
) -> Iterator[Task]:
    """Contents that no blob is stored for."""
    for portion in _portions(entries):
        readable = list(dict.fromkeys(Blob(each.oid, each.language) for each in portion if each.language is not None))
        with connection, connection.cursor() as cursor:
            known = store.known_blobs(cursor, readable)
        new = [blob for blob in readable if blob not in known]
        reporter.add(files=len(portion) - len(new))
        reporter.tick()
        for blob, (oid, content) in zip(new, objects.contents([blob.oid for blob in new]), strict=True):
            if content is None:
                unreadable.add(oid)
            else:
                yield Task(oid, blob.language, content)


def _portions(entries: Iterable[Entry]) -> Iterator[list[Entry]]:
    """Entries whose contents can be in memory together."""
    portion: list[Entry] = []
    size = 0
    for entry in entries:
        portion.append(entry)
        size += entry.size_bytes or 0 if entry.skip_reason is None else 0
        if len(portion) >= _READ_FILES or size >= _READ_BYTES:
            yield portion
            portion, size = [], 0
    if portion:
        yield portion
