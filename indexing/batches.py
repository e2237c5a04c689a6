"""Parsed contents, and the files that wait for them, on their way to the database."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from psycopg2.extensions import connection as Connection  # noqa: N812 a class, whatever the driver calls it

from indexing import skips, store
from indexing.background import Background
from indexing.frames import Rows
from indexing.listing import Entry
from indexing.report import Reporter
from indexing.store import Blob

#: What is stored in one transaction ends with the file that reaches one of these: parsers have work for about as long.
_STORE_BLOBS: Final = 500
_STORE_SYMBOLS: Final = 5000
#: The first ones, so that of a small commit little is left when the last file is parsed, and how many times as much
#: each of the next may be.
_STORE_FIRST_SYMBOLS: Final = 500
_STORE_GROWTH: Final = 2
#: So many times that is waiting while the one before is stored, until the parsers wait as well.
_STORE_WAITING: Final = 4
#: So long a killed job may have parsed for nothing, in seconds.
_STORE_SECONDS: Final = 5.0

#: Files stored in one transaction, as soon as all their contents are: so few are left when the last one is parsed.
_STORE_FILES: Final = 1000

#: Stores entries; with the ids of their contents.
StoreFiles = Callable[[Sequence[Entry], Mapping[Blob, int]], None]


class Batches:
    """Takes files, says which contents are to be parsed for them, and takes what was found there.

    ``store_files`` is called with all files, in groups whose contents are stored, in a thread of its own and with no
    transaction open; a file that cannot be read has the reason of that. ``connection`` is used by one thread at a time,
    and by none while ``reporter`` reports.
    """

    def __init__(
        self, connection: Connection, reporter: Reporter, storing: Background, store_files: StoreFiles
    ) -> None:
        self._connection = connection
        self._reporter = reporter
        self._storing = storing
        self._store_files = store_files
        # Used by the thread that stores; by the other one while nothing is being stored.
        self._groups = _Groups()
        # None: it cannot be read.
        self._parsed: dict[Blob, Rows | None] = {}
        self._symbols = 0
        self._most_symbols = _STORE_FIRST_SYMBOLS
        self._oldest = 0.0
        #: Files that are not stored yet.
        self.files_left = 0
        #: Object ids of the contents that cannot be read.
        self.unreadable: set[str] = set()

    def expect(self, entries: Sequence[Entry]) -> list[Blob]:
        """Take files, and return the contents that are to be parsed: those that nobody has parsed, and each once."""
        self._settle()
        with self._connection, self._connection.cursor() as cursor:
            known = store.known_blobs(cursor, list(_blobs(entries)))
        new = [
            blob
            for first in range(0, len(entries), _STORE_FILES)
            for blob in self._groups.add(entries[first : first + _STORE_FILES], known)
        ]
        self.files_left += len(entries)
        self._reporter.add(files=len(entries) - len(new))
        if self._groups.whole:
            self._store()
        self.tick()
        return new

    def add(self, blob: Blob, parsed: Rows | None, size_bytes: int) -> None:
        """Take what is in a content of this size; None when it cannot be read."""
        if not self._parsed:
            self._oldest = time.monotonic()
        self._parsed[blob] = parsed
        if parsed is None:
            self.unreadable.add(blob.oid)
            self._reporter.add(files=1)
        else:
            self._symbols += parsed.symbol_count
            self._reporter.add(files=1, size_bytes=size_bytes, symbols=parsed.symbol_count)
        if self._is_to_be_stored:
            self._store()
            self.tick()

    def finish(self) -> None:
        """Store all that is left."""
        left = self.files_left
        self._store()
        self._settle()
        self._reporter.add(files=left)

    def keep(self) -> None:
        """Store the contents that were parsed, for the next run: this one has failed, and its files are nobody's."""
        self._settle()
        self._groups = _Groups()
        self._store()
        self._settle()

    def tick(self) -> None:
        """Report, when it is time to."""
        if self._reporter.is_due:
            self._settle()
            self._reporter.tick()

    @property
    def _is_to_be_stored(self) -> bool:
        """Whether there is enough for a transaction; while another one is being stored, whether there is much more."""
        times = _STORE_WAITING if self._storing.is_busy else 1
        return (
            len(self._parsed) >= _STORE_BLOBS * times
            or self._symbols >= self._most_symbols * times
            or time.monotonic() > self._oldest + _STORE_SECONDS
        )

    def _store(self) -> None:
        """Begin to store what was added; what is being stored is waited for."""
        self._settle()
        if self._parsed or self._groups.whole:
            parsed, self._parsed, self._symbols = self._parsed, {}, 0
            self._most_symbols = min(self._most_symbols * _STORE_GROWTH, _STORE_SYMBOLS)
            self._storing.start(lambda: self._write(parsed))

    def _settle(self) -> None:
        """Wait until nothing is being stored."""
        with self._reporter.timed("store"):
            self._storing.wait()

    def _write(self, parsed: Mapping[Blob, Rows | None]) -> None:
        contents = {blob: rows for blob, rows in parsed.items() if rows is not None}
        ids: dict[Blob, int] = {}
        if contents:
            with self._connection, self._connection.cursor() as cursor:
                # The transaction that publishes waits for the disk, for all before it.
                cursor.execute("SET LOCAL synchronous_commit TO off")
                ids = store.store_blobs(cursor, contents)
        for blob in parsed:
            self._groups.settle(blob, ids.get(blob))
        for group in self._groups.take_whole():
            self._store_files(list(map(self._as_read, group.entries)), group.ids)
            self.files_left -= len(group.entries)

    def _as_read(self, entry: Entry) -> Entry:
        if entry.oid not in self.unreadable:
            return entry
        return entry._replace(language=None, skip_reason=entry.skip_reason or skips.MISSING)


@dataclass
class _Group:
    """Files that are stored together, once their contents are."""

    entries: Sequence[Entry]
    ids: dict[Blob, int]
    missing: int


@dataclass
class _Groups:
    """Groups, by the contents that they wait for."""

    waiting: dict[Blob, list[_Group]] = field(default_factory=dict)
    #: Those that wait for none.
    whole: list[_Group] = field(default_factory=list)

    def add(self, entries: Sequence[Entry], known: Mapping[Blob, int]) -> list[Blob]:
        """Add a group; returns the contents that it is the first to wait for."""
        blobs = list(_blobs(entries))
        missing = [blob for blob in blobs if blob not in known]
        group = _Group(entries, {blob: known[blob] for blob in blobs if blob in known}, len(missing))
        if not missing:
            self.whole.append(group)
        new = [blob for blob in missing if blob not in self.waiting]
        for blob in missing:
            self.waiting.setdefault(blob, []).append(group)
        return new

    def settle(self, blob: Blob, blob_id: int | None) -> None:
        """Say by which id a content is stored; None: by none."""
        for group in self.waiting.pop(blob, ()):
            if blob_id is not None:
                group.ids[blob] = blob_id
            group.missing -= 1
            if group.missing == 0:
                self.whole.append(group)

    def take_whole(self) -> Iterator[_Group]:
        while self.whole:
            yield self.whole.pop(0)


def _blobs(entries: Sequence[Entry]) -> dict[Blob, None]:
    """The contents to be read, each once."""
    return dict.fromkeys(Blob(each.oid, each.language) for each in entries if each.language is not None)
