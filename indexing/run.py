"""Index one commit of one repository: resolve, fetch, list, parse, store, publish.

Running it again gives the same tables. Readers see a commit whole or not at all; what was parsed stays stored when a
run is stopped, so that the next one continues.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Final

import psycopg2
from psycopg2.extensions import TRANSACTION_STATUS_IDLE
from psycopg2.extensions import connection as Connection  # noqa: N812 a class, whatever the driver calls it
from psycopg2.extensions import cursor as Cursor  # noqa: N812 the same

from indexing import git, local, location, skips, store
from indexing.frames import Parsed
from indexing.limits import MIB, Limits
from indexing.listing import Entry, Listing, list_commit
from indexing.objects import ObjectStore
from indexing.parsers import COMMAND, Parsers, Task
from indexing.remote import RemoteRepository
from indexing.report import IndexReport, Progress, Reporter
from indexing.store import Blob

#: Contents read from git at once end with the file that reaches one of these.
_READ_FILES: Final = 1000
_READ_BYTES: Final = 8 * MIB

#: What is stored in one transaction ends with the file that reaches one of these.
_STORE_BLOBS: Final = 2000
_STORE_SYMBOLS: Final = 20_000

#: Files of a commit stored in one transaction.
_STORE_FILES: Final = 5000

OnProgress = Callable[[Progress], None]
BeforePublish = Callable[[Cursor], None]
Source = local.LocalRepository | RemoteRepository


def index_commit(
    connection: Connection,
    repository_url: str,
    repository_id: str,
    commit_sha: str | None,
    *,
    limits: Limits,
    on_progress: OnProgress,
    before_publish: BeforePublish | None = None,
    parser_command: Sequence[str] = COMMAND,
) -> IndexReport:
    """Index a commit (an id, branch or tag; None: the head of the default branch) and publish it as the current one.

    ``connection`` must be idle; transactions are made and committed on it. ``on_progress`` is called at each phase and
    at most every half second in between, with no transaction open on ``connection``, and may raise to stop the run.
    ``before_publish`` is called with the cursor of the publishing transaction after its last write, and may raise to
    undo it. ``parser_command`` replaces the parser process in tests.

    Raises what ``indexing.errors`` lists, and psycopg2's errors as they are.
    """
    if connection.info.transaction_status != TRANSACTION_STATUS_IDLE:
        raise ValueError("expected an idle connection, got one with a transaction: commit it first")
    with tempfile.TemporaryDirectory(prefix="indexq-", dir=limits.work_directory) as scratch:
        run = _Run(connection, repository_id, limits, Reporter(on_progress), Path(scratch), parser_command)
        source = run.open(repository_url)
        sha = run.resolve(source, commit_sha)
        published = run.find_published(sha)
        if published is not None:
            return run.publish_again(*published, before_publish)
        objects = run.fetch(source, sha)
        with run.list_files(objects, sha) as listing:
            run.parse_new(objects, listing)
            commit_id = run.store_files(listing, sha)
        return run.publish(commit_id, sha, before_publish)


@dataclass
class _Run:
    """One run; its methods are the steps, in their order."""

    connection: Connection
    repository_id: str
    limits: Limits
    reporter: Reporter
    scratch: Path
    parser_command: Sequence[str]
    #: Blobs that git listed and could not read: skipped here, and not stored as what that content is elsewhere.
    unreadable: set[str] = field(default_factory=set)

    def open(self, url: str) -> Source:
        with self.reporter.phase("resolve"):
            git.check_version()
            with self.connection, self.connection.cursor() as cursor:
                store.discard_abandoned(cursor)
            place = location.parse(url)
            if place.kind == "local":
                return local.open_repository(place.url, self.scratch, self.limits, self.reporter.tick)
            return RemoteRepository(place.url, self.scratch, self.limits, self.reporter.tick)

    def resolve(self, source: Source, commit_sha: str | None) -> str:
        with self.reporter.timed("resolve"):
            return source.resolve(commit_sha)

    def find_published(self, sha: str) -> tuple[int, IndexReport] | None:
        with self.reporter.timed("resolve"), self.connection, self.connection.cursor() as cursor:
            return store.find_published(cursor, self.repository_id, sha)

    def publish_again(self, commit_id: int, report: IndexReport, before_publish: BeforePublish | None) -> IndexReport:
        total = report.files_processed + report.files_skipped
        with self.reporter.phase("publish", files_total=total), self.connection, self.connection.cursor() as cursor:
            store.publish_again(cursor, self.repository_id, commit_id)
            if before_publish is not None:
                before_publish(cursor)
        return replace(report, seconds=self.reporter.seconds)

    def fetch(self, source: Source, sha: str) -> ObjectStore:
        with self.reporter.phase("fetch"):
            return source.store if isinstance(source, local.LocalRepository) else source.fetch(sha)

    @contextmanager
    def list_files(self, objects: ObjectStore, sha: str) -> Iterator[Listing]:
        with ExitStack() as files:
            with self.reporter.phase("list"):
                listing = files.enter_context(list_commit(objects, sha))
            yield listing

    def parse_new(self, objects: ObjectStore, listing: Listing) -> None:
        """Parse the contents that were never seen, and store them in batches as they come."""
        batch = _Batch()
        with self.reporter.phase("parse", files_total=listing.count):
            with Parsers(self.limits, command=self.parser_command) as parsers:
                for task, parsed in parsers.parse(self._new_contents(objects, listing), self.reporter.tick):
                    batch.add(Blob(task.oid, task.language), parsed)
                    self.reporter.add(files=1, size_bytes=len(task.content), symbols=len(parsed.symbols))
                    if batch.is_full:
                        self._store_blobs(batch)
            self._store_blobs(batch)

    def store_files(self, listing: Listing, sha: str) -> int:
        """Store the paths of the commit; they are invisible until it is published."""
        with self.reporter.phase("store", files_total=listing.count):
            with self.connection, self.connection.cursor() as cursor:
                commit_id = store.begin_commit(cursor, self.repository_id, sha)
            with self._discarding(commit_id):
                for chunk in _chunks(map(self._as_read, listing.entries()), _STORE_FILES):
                    with self.connection, self.connection.cursor() as cursor:
                        store.store_files(cursor, commit_id, chunk)
                    self.reporter.add(files=len(chunk))
                    self.reporter.tick()
            return commit_id

    def publish(self, commit_id: int, sha: str, before_publish: BeforePublish | None) -> IndexReport:
        """The one moment at which readers see the commit."""
        with self._discarding(commit_id):
            with self.reporter.phase("publish"), self.connection, self.connection.cursor() as cursor:
                counts = store.count_files(cursor, commit_id)
                report = IndexReport(sha, *counts, seconds=self.reporter.seconds)
                store.publish(cursor, self.repository_id, commit_id, report)
                if before_publish is not None:
                    before_publish(cursor)
            return report

    def _new_contents(self, objects: ObjectStore, listing: Listing) -> Iterator[Task]:
        """Contents that no blob is stored for, read from git in portions that fit into memory."""
        for chunk in _portions(listing.entries()):
            readable = Counter(Blob(entry.oid, entry.language) for entry in chunk if entry.language is not None)
            with self.connection, self.connection.cursor() as cursor:
                known = store.known_blobs(cursor, list(readable))
            new = [blob for blob in readable if blob not in known]
            self.reporter.add(files=len(chunk) - len(new))
            self.reporter.tick()
            for blob, (oid, content) in zip(new, objects.contents([blob.oid for blob in new]), strict=True):
                if content is None:
                    self.unreadable.add(oid)
                else:
                    yield Task(oid, blob.language, content)

    def _as_read(self, entry: Entry) -> Entry:
        if entry.oid not in self.unreadable:
            return entry
        return entry._replace(language=None, skip_reason=entry.skip_reason or skips.MISSING)

    def _store_blobs(self, batch: _Batch) -> None:
        if batch.parsed:
            with self.reporter.timed("store"), self.connection, self.connection.cursor() as cursor:
                store.store_blobs(cursor, batch.parsed)
            batch.clear()
            self.reporter.tick()

    @contextmanager
    def _discarding(self, commit_id: int) -> Iterator[None]:
        """Take back what was stored of a commit when the block fails."""
        try:
            yield
        except BaseException:
            # When the database is gone as well, a later run does it.
            with suppress(psycopg2.Error), self.connection, self.connection.cursor() as cursor:
                store.discard(cursor, commit_id)
            raise


class _Batch:
    """Parsed contents on their way to the database."""

    def __init__(self) -> None:
        # Two portions read from git may have a content in common.
        self.parsed: dict[Blob, Parsed] = {}
        self._symbols = 0

    @property
    def is_full(self) -> bool:
        return len(self.parsed) >= _STORE_BLOBS or self._symbols >= _STORE_SYMBOLS

    def add(self, blob: Blob, parsed: Parsed) -> None:
        self.parsed[blob] = parsed
        self._symbols += len(parsed.symbols)

    def clear(self) -> None:
        self.parsed.clear()
        self._symbols = 0


def _portions(entries: Iterator[Entry]) -> Iterator[list[Entry]]:
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


def _chunks(entries: Iterator[Entry], length: int) -> Iterator[list[Entry]]:
    while chunk := list(islice(entries, length)):
        yield chunk
