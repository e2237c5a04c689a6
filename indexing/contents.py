"""The contents of a commit that were never seen: read from git in portions, parsed, stored in batches as they come."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from itertools import chain, islice
from typing import Final

import psycopg2
from psycopg2.extensions import connection as Connection  # noqa: N812 a class, whatever the driver calls it

from indexing.background import Background
from indexing.batches import Batches, StoreFiles
from indexing.languages import TEXT
from indexing.limits import MIB
from indexing.listing import Entry
from indexing.objects import ObjectStore
from indexing.parsers import Parsers, Task
from indexing.report import Reporter
from indexing.store import Blob
from indexing.texts import rows_of_text

#: Entries of which the database is asked at once whether they are known; fewer at first, so that parsers can begin.
_ASK_ENTRIES: Final = 5000
_ASK_FIRST: Final = 500

#: Contents read from git at once, while those before are parsed, end with the file that reaches one of these.
_READ_FILES: Final = 2000
_READ_BYTES: Final = 8 * MIB
#: The first ones, for which the parsers wait, and how many times as much each of the next may be.
_READ_FIRST_BYTES: Final = MIB // 8
_READ_GROWTH: Final = 2


def parse_contents(
    connection: Connection,
    objects: ObjectStore,
    entries: Iterable[Entry],
    reporter: Reporter,
    parsers: Parsers,
    store_files: StoreFiles,
) -> set[str]:
    """Store what is in the contents of entries, and return the ids of those that could not be read. Ends the parsers.

    ``store_files`` is called with the entries as ``Batches`` says. Reports, and thereby may be stopped, several times a
    second; what was stored until then stays.
    """
    with Background("indexing-store") as storing, Background("indexing-read") as reading:
        batches = Batches(connection, reporter, storing, store_files)
        try:
            with parsers:
                tasks = _to_parse(batches, objects, entries, reading, parsers)
                for task, parsed in parsers.parse(tasks, batches.tick):
                    batches.add(Blob(task.oid, task.language), parsed, len(task.content))
            with reporter.phase("store", files_total=batches.files_left):
                batches.finish()
        except BaseException:
            # A batch takes less than the second that a stop may take; where the database is the reason, it is lost.
            with suppress(psycopg2.Error):
                batches.keep()
            raise
        return batches.unreadable


def _to_parse(
    batches: Batches, objects: ObjectStore, entries: Iterable[Entry], reading: Background, parsers: Parsers
) -> Iterator[Task]:
    """Contents that nobody has parsed; one portion is read while the one before is parsed."""
    before: list[Blob] = []
    for portion in chain(_portions(_new_blobs(batches, entries)), [[]]):
        contents = reading.wait(batches.tick) if before else ()
        reading.start(partial(_read, objects, [blob.oid for blob in portion], reading.check))
        parsers.start([blob.language for blob in portion if blob.language != TEXT])
        # What takes longest first, so that the parsers end together; what needs none is done while they work.
        read = zip(before, contents, strict=True)
        for blob, (oid, content) in sorted(read, key=_by_work):
            if content is None:
                batches.add(blob, None, 0)
            elif blob.language == TEXT:
                batches.add(blob, rows_of_text(content), len(content))
            else:
                yield Task(oid, blob.language, content)
        before = portion
        if not before:
            reading.wait()


def _by_work(read: tuple[Blob, tuple[str, bytes | None]]) -> tuple[bool, int]:
    blob, (_oid, content) = read
    return blob.language == TEXT, -len(content or b"")


def _new_blobs(batches: Batches, entries: Iterable[Entry]) -> Iterator[tuple[Blob, int]]:
    """Contents that nobody has parsed, each once, and their sizes in bytes."""
    remaining = iter(entries)
    length = _ASK_FIRST
    while page := list(islice(remaining, length)):
        sizes = {each.oid: each.size_bytes or 0 for each in page}
        yield from ((blob, sizes[blob.oid]) for blob in batches.expect(page))
        length = _ASK_ENTRIES


def _read(objects: ObjectStore, oids: Sequence[str], on_wait: Callable[[], None]) -> list[tuple[str, bytes | None]]:
    return list(objects.contents(oids, on_wait))


def _portions(blobs: Iterable[tuple[Blob, int]]) -> Iterator[list[Blob]]:
    """Those whose contents can be in memory together."""
    portion: list[Blob] = []
    size, most = 0, _READ_FIRST_BYTES
    for blob, size_bytes in blobs:
        portion.append(blob)
        size += size_bytes
        if len(portion) >= _READ_FILES or size >= most:
            yield portion
            portion, size, most = [], 0, min(most * _READ_GROWTH, _READ_BYTES)
    if portion:
        yield portion
