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
#: It ends before, with this part of the contents that are not stored, so that few are left behind the last parse; but
#: not before so many symbols are there, because a transaction takes as long as 100 of them.
_STORE_PART: Final = 0.35
_STORE_LEAST_SYMBOLS: Final = 500
#: So many times that is waiting while the one before is stored, until the parsers wait as well.
_STORE_WAITING: Final = 4
#: So long a killed job may have parsed for nothing, in seconds.
_STORE_SECONDS: Final = 5.0

#: Files stored in one transaction, at least, but for the last ones, and at most.
_STORE_LEAST_FILES: Final = 100
_STORE_FILES: Final = 1000

#: Stores entries; with the ids of their contents.
StoreFiles = Callable[[Sequence[Entry], Mapping[Blob, int]], None]


class Batches:
    """Takes files, says which contents are to be parsed for them, and takes what was found there.

    ``store_files`` is called with all files, with each once its content is stored, in a thread of its own and with no
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
        self._files = _Files()
        # None: it cannot be read.
        self._parsed: dict[Blob, Rows | None] = {}
        self._symbols = 0
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
        new = self._files.add(entries, known)
        self.files_left += len(entries)
        self._reporter.add(files=len(entries) - len(new))
        if len(self._files.ready) >= _STORE_FILES:
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
        self._store(least_files=1)
        self._settle()
        self._reporter.add(files=left)

    def keep(self) -> None:
        """Store the contents that were parsed, for the next run: this one has failed, and its files are nobody's."""
        self._settle()
        self._files = _Files()
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
        if time.monotonic() > self._oldest + _STORE_SECONDS:
            return True
        is_busy = self._storing.is_busy
        times = _STORE_WAITING if is_busy else 1
        if len(self._parsed) >= _STORE_BLOBS * times or self._symbols >= _STORE_SYMBOLS * times:
            return True
        is_part = len(self._parsed) >= len(self._files.waiting) * _STORE_PART
        return is_part and self._symbols >= _STORE_LEAST_SYMBOLS and not is_busy

    def _store(self, least_files: int = _STORE_LEAST_FILES) -> None:
        """Begin to store what was added; what is being stored is waited for. Fewer files than these wait for others."""
        self._settle()
        if self._parsed or self._files.ready:
            parsed, self._parsed, self._symbols = self._parsed, {}, 0
            self._storing.start(lambda: self._write(parsed, least_files))

    def _settle(self) -> None:
        """Wait until nothing is being stored."""
        with self._reporter.timed("store"):
            self._storing.wait()

    def _write(self, parsed: Mapping[Blob, Rows | None], least_files: int) -> None:
        contents = {blob: rows for blob, rows in parsed.items() if rows is not None}
        ids: dict[Blob, int] = {}
        if contents:
            with self._connection, self._connection.cursor() as cursor:
                # The transaction that publishes waits for the disk, for all before it.
                cursor.execute("SET LOCAL synchronous_commit TO off")
                ids = store.store_blobs(cursor, contents)
        for blob in parsed:
            self._files.settle(blob, ids.get(blob))
        for entries, of_contents in self._files.take_ready(least_files, _STORE_FILES):
            self._store_files(list(map(self._as_read, entries)), of_contents)
            self.files_left -= len(entries)

    def _as_read(self, entry: Entry) -> Entry:
        if entry.oid not in self.unreadable:
            return entry
        return entry._replace(language=None, skip_reason=entry.skip_reason or skips.MISSING)


@dataclass
class _Files:
    """Files, by the contents that they wait for."""

    waiting: dict[Blob, list[Entry]] = field(default_factory=dict)
    #: Those that wait no more, and by which id their content is stored; None: by none.
    ready: list[tuple[Entry, int | None]] = field(default_factory=list)

    def add(self, entries: Sequence[Entry], known: Mapping[Blob, int]) -> list[Blob]:
        """Add files; returns the contents that they are the first to wait for."""
        new = []
        for entry in entries:
            blob = _blob(entry)
            if blob is None or blob in known:
                self.ready.append((entry, None if blob is None else known[blob]))
            elif blob in self.waiting:
                self.waiting[blob].append(entry)
            else:
                self.waiting[blob] = [entry]
                new.append(blob)
        return new

    def settle(self, blob: Blob, blob_id: int | None) -> None:
        """Say by which id a content is stored; None: by none."""
        self.ready += [(entry, blob_id) for entry in self.waiting.pop(blob, ())]

    def take_ready(self, least: int, most: int) -> Iterator[tuple[list[Entry], dict[Blob, int]]]:
        """Those that wait for nothing, so many at once, and the ids of their contents; fewer than ``least`` stay."""
        while len(self.ready) >= least:
            taken, self.ready = self.ready[:most], self.ready[most:]
            ids = {Blob(each.oid, each.language): blob_id for each, blob_id in taken if each.language and blob_id}
            yield [entry for entry, _ in taken], ids


def _blob(entry: Entry) -> Blob | None:
    """The content to be read; None for a file that is skipped."""
    return None if entry.language is None else Blob(entry.oid, entry.language)


def _blobs(entries: Sequence[Entry]) -> dict[Blob, None]:
    """The contents to be read, each once."""
    return dict.fromkeys(filter(None, map(_blob, entries)))
