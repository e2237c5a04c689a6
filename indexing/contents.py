"""The contents of a commit that were never seen: read from git in portions, parsed, stored in batches as they come."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from itertools import chain, islice
from typing import Final

import psycopg2
from psycopg2.extensions import connection as Connection  # noqa: N812 a class, whatever the driver calls it

from indexing import store
from indexing.background import Background
from indexing.frames import Rows
from indexing.limits import MIB
from indexing.listing import Entry
from indexing.objects import ObjectStore
from indexing.parsers import Parsers, Task
from indexing.report import Reporter
from indexing.store import Blob

#: Entries of which the database is asked at once whether they are known; fewer at first, so that parsers can begin.
_ASK_ENTRIES: Final = 5000
_ASK_FIRST: Final = 500

#: Contents read from git at once, while those before are parsed, end with the file that reaches one of these.
_READ_FILES: Final = 1000
_READ_BYTES: Final = 4 * MIB
#: The first ones, for which the parsers wait.
_READ_FIRST_BYTES: Final = MIB // 2

#: What is stored in one transaction ends with the file that reaches one of these: parsers have work for about as long.
_STORE_BLOBS: Final = 500
_STORE_SYMBOLS: Final = 5000
#: So many times that is waiting while the one before is stored, until the parsers wait as well.
_STORE_WAITING: Final = 4
#: Names remembered at most: some 20 MB.
_KNOWN_NAMES: Final = 200_000
#: So long a killed job may have parsed for nothing, in seconds.
_STORE_SECONDS: Final = 5.0


def parse_contents(
    connection: Connection,
    objects: ObjectStore,
    entries: Iterable[Entry],
    reporter: Reporter,
    parsers: Parsers,
) -> set[str]:
    """Store what is in the contents of entries, and return the ids of those that could not be read. Ends the parsers.

    Reports, and thereby may be stopped, several times a second; what was stored until then stays. ``connection`` is
    used by one thread at a time, and by none while it reports.
    """
    unreadable: set[str] = set()
    with Background("indexing-store") as storing, Background("indexing-read") as reading:
        batch = _Batch(connection, reporter, storing)
        try:
            with parsers:
                tasks = _new_contents(batch, replace(objects, on_wait=reading.check), entries, reading, unreadable)
                for task, parsed in parsers.parse(tasks, batch.tick):
                    batch.add(Blob(task.oid, task.language), parsed)
                    reporter.add(files=1, size_bytes=len(task.content), symbols=parsed.symbol_count)
                    if batch.is_to_be_stored:
                        batch.store()
                        batch.tick()
        except BaseException:
            # A batch takes less than the second that a stop may take; where the database is the reason, it is lost.
            with suppress(psycopg2.Error):
                batch.store()
                batch.settle()
            raise
        batch.store()
        batch.settle()
    return unreadable


class _Batch:
    """Parsed contents on their way to the database."""

    def __init__(self, connection: Connection, reporter: Reporter, storing: Background) -> None:
        self._connection = connection
        self._reporter = reporter
        self._storing = storing
        # Two portions read from git may have a content in common.
        self._parsed: dict[Blob, Rows] = {}
        self._symbols = 0
        self._oldest = 0.0
        # Stored by this job: most names come again, and each would be looked up again.
        self._names: set[str] = set()

    @property
    def is_to_be_stored(self) -> bool:
        """Whether it is full; while another one is being stored, whether it is much more than full."""
        times = _STORE_WAITING if self._storing.is_busy else 1
        return (
            len(self._parsed) >= _STORE_BLOBS * times
            or self._symbols >= _STORE_SYMBOLS * times
            or time.monotonic() > self._oldest + _STORE_SECONDS
        )

    def add(self, blob: Blob, parsed: Rows) -> None:
        if not self._parsed:
            self._oldest = time.monotonic()
        self._parsed[blob] = parsed
        self._symbols += parsed.symbol_count

    def store(self) -> None:
        """Begin to store what was added; the batch before is waited for."""
        self.settle()
        if self._parsed:
            parsed, self._parsed, self._symbols = self._parsed, {}, 0
            self._storing.start(lambda: self._write(parsed))

    def settle(self) -> None:
        """Wait until nothing is being stored."""
        with self._reporter.timed("store"):
            self._storing.wait()

    def tick(self) -> None:
        """Report, when it is time to."""
        if self._reporter.is_due:
            self.settle()
            self._reporter.tick()

    def known(self, blobs: Sequence[Blob]) -> dict[Blob, int]:
        """Those that are stored."""
        self.settle()
        with self._connection, self._connection.cursor() as cursor:
            return store.known_blobs(cursor, blobs)

    def count(self, files: int) -> None:
        """Count files that need not be read."""
        self._reporter.add(files=files)
        self.tick()

    def _write(self, parsed: dict[Blob, Rows]) -> None:
        with self._connection, self._connection.cursor() as cursor:
            store.store_blobs(cursor, parsed, self._names)
        if len(self._names) > _KNOWN_NAMES:
            self._names.clear()


def _new_contents(
    batch: _Batch, objects: ObjectStore, entries: Iterable[Entry], reading: Background, unreadable: set[str]
) -> Iterator[Task]:
    """Contents that no blob is stored for; one portion is read while the one before is parsed."""
    before: list[Blob] = []
    for portion in chain(_portions(_new_blobs(batch, entries)), [[]]):
        contents = reading.wait(batch.tick) if before else ()
        reading.start(partial(_read, objects, [blob.oid for blob in portion]))
        for blob, (oid, content) in zip(before, contents, strict=True):
            if content is None:
                unreadable.add(oid)
            else:
                yield Task(oid, blob.language, content)
        before = portion
        if not before:
            reading.wait()


def _new_blobs(batch: _Batch, entries: Iterable[Entry]) -> Iterator[tuple[Blob, int]]:
    """Contents that no blob is stored for, each once a page, and their sizes in bytes."""
    remaining = iter(entries)
    length = _ASK_FIRST
    while page := list(islice(remaining, length)):
        readable = {Blob(each.oid, each.language): each.size_bytes or 0 for each in page if each.language is not None}
        known = batch.known(list(readable))
        batch.count(len(page) - len(readable) + len(known))
        yield from ((blob, size) for blob, size in readable.items() if blob not in known)
        length = _ASK_ENTRIES


def _read(objects: ObjectStore, oids: Sequence[str]) -> list[tuple[str, bytes | None]]:
    return list(objects.contents(oids))


def _portions(blobs: Iterable[tuple[Blob, int]]) -> Iterator[list[Blob]]:
    """Those whose contents can be in memory together."""
    portion: list[Blob] = []
    size, most = 0, _READ_FIRST_BYTES
    for blob, size_bytes in blobs:
        portion.append(blob)
        size += size_bytes
        if len(portion) >= _READ_FILES or size >= most:
            yield portion
            portion, size, most = [], 0, _READ_BYTES
    if portion:
        yield portion
