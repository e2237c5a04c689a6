"""Index one commit of one repository: resolve, fetch, list, parse, store, publish.

A commit is read as its difference from the one before where that is indexed, and as a whole otherwise. Running it again
gives the same tables. Readers see a commit whole or not at all; what was parsed stays stored when a run is stopped, so
that the next one continues.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import psycopg2
from psycopg2.extensions import TRANSACTION_STATUS_IDLE
from psycopg2.extensions import connection as Connection  # noqa: N812 a class, whatever the driver calls it
from psycopg2.extensions import cursor as Cursor  # noqa: N812 the same

from indexing import forks, git, local, location, publish, skips
from indexing.access import NO_ACCESS, Access
from indexing.batches import StoreFiles
from indexing.changes import Changes, list_changes
from indexing.contents import parse_contents
from indexing.errors import TransientIndexError
from indexing.limits import Limits
from indexing.listing import Entry, list_commit
from indexing.objects import ObjectStore
from indexing.parsers import Parsers
from indexing.publish import Base, BaseMoved, BaseUnfit, ContentsRemoved
from indexing.remote import RemoteRepository
from indexing.report import IndexReport, Progress, Reporter
from indexing.store import Blob

#: Times that another run may be quicker with the next commit of a repository, until all of it is read; and that the
#: upkeep may remove what was about to be used.
_TRIES: Final = 5

OnProgress = Callable[[Progress], None]
BeforePublish = Callable[[Cursor], None]
Source = local.LocalRepository | RemoteRepository


class _DamagedCache(Exception):
    """Fetched objects are missing or cannot be read."""


def index_commit(
    connection: Connection,
    repository_url: str,
    repository_id: str,
    commit_sha: str | None,
    *,
    limits: Limits,
    access: Access = NO_ACCESS,
    on_progress: OnProgress,
    before_publish: BeforePublish | None = None,
    parser_command: Sequence[str] = forks.COMMAND,
) -> IndexReport:
    """Index a commit (an id, branch or tag; None: the head of the default branch) and publish it as the current one.

    ``connection`` must be idle; transactions are made and committed on it. ``on_progress`` is called at each phase and
    at most every half second in between, with no transaction open on ``connection``, and may raise to stop the run.
    ``before_publish`` is called with the cursor of the publishing transaction after its last write, and may raise to
    undo it. ``access`` says what may be reached, and where fetched objects stay. ``parser_command`` replaces the fork
    server of the parsers in tests.

    Raises what ``indexing.errors`` lists, and psycopg2's errors as they are.
    """
    if connection.info.transaction_status != TRANSACTION_STATUS_IDLE:
        raise ValueError("expected an idle connection, got one with a transaction: commit it first")
    with tempfile.TemporaryDirectory(prefix="indexq-", dir=limits.work_directory) as scratch:
        reporter = Reporter(on_progress)
        run = _Run(connection, repository_id, limits, access, reporter, Path(scratch), before_publish, parser_command)
        with closing(run.open(repository_url)) as source:
            peeked = source.peek(commit_sha)
            known = run.publish_known(peeked)
            if known is not None:
                return known
            run.start(source)
            # Meanwhile git starts.
            base = run.find_base()
            sha = run.resolve(source, commit_sha)
            known = None if sha == peeked else run.publish_known(sha)
            if known is not None:
                return known
            return run.index(source, sha, base)


@dataclass
class _Run:
    """One run; its methods are the steps, in their order."""

    connection: Connection
    repository_id: str
    limits: Limits
    access: Access
    reporter: Reporter
    scratch: Path
    before_publish: BeforePublish | None
    parser_command: Sequence[str]

    _may_be_damaged: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        self.how = publish.reading(self.limits)

    @contextmanager
    def transaction(self, *, is_last: bool = False) -> Iterator[Cursor]:
        """One transaction. Only the last of a run waits for the disk: what came before is there by then."""
        with self.connection, self.connection.cursor() as cursor:
            if not is_last:
                cursor.execute("SET LOCAL synchronous_commit TO off")
            yield cursor

    def open(self, url: str) -> Source:
        with self.reporter.phase("resolve"):
            git.check_version()
            place = location.parse(url)
            if place.kind == "local":
                self.access.check_directory(Path(place.url))
                return local.open_repository(place.url, self.scratch, self.limits, self.reporter.tick)
            return RemoteRepository(place.url, self.scratch, self.limits, self.access, self.reporter.tick)

    def publish_known(self, sha: str | None) -> IndexReport | None:
        """Show a commit that was indexed before; None when it was not."""
        if sha is None:
            return None
        with self.reporter.timed("resolve"), self.connection, self.connection.cursor() as cursor:
            published = publish.find_published(cursor, self.repository_id, sha, self.how)
        if published is None:
            return None
        commit_id, report = published
        total = report.files_processed + report.files_skipped
        with self.reporter.phase("publish", files_total=total), self.transaction(is_last=True) as cursor:
            publish.publish_again(cursor, self.repository_id, commit_id)
            self._ask_to_publish(cursor)
        return replace(report, seconds=self.reporter.seconds)

    def find_base(self) -> Base | None:
        """What the next commit can be told from."""
        with self.reporter.timed("list"), self.connection, self.connection.cursor() as cursor:
            return publish.find_base(cursor, self.repository_id, self.how)

    def start(self, source: Source) -> None:
        with self.reporter.timed("resolve"):
            source.start()

    def resolve(self, source: Source, commit_sha: str | None) -> str:
        with self.reporter.timed("resolve"):
            return source.resolve(commit_sha)

    def index(self, source: Source, sha: str, base: Base | None) -> IndexReport:
        """Index a commit that is not indexed, in the cheapest way that is possible."""
        try:
            with self._objects(source, sha) as objects:
                return self._index(objects, sha, base, may_be_damaged=isinstance(source, RemoteRepository))
        except _DamagedCache:
            with self._objects(source, sha, afresh=True) as objects:
                return self._index(objects, sha, base, may_be_damaged=False)

    @contextmanager
    def _objects(self, source: Source, sha: str, *, afresh: bool = False) -> Iterator[ObjectStore]:
        with ExitStack() as held:
            with self.reporter.phase("fetch"):
                if isinstance(source, local.LocalRepository):
                    store = source.store
                else:
                    store = held.enter_context(source.fetch(sha, afresh=afresh))
            yield store

    def _index(self, objects: ObjectStore, sha: str, base: Base | None, *, may_be_damaged: bool) -> IndexReport:
        self._may_be_damaged = may_be_damaged
        # Nearly always there is something to parse.
        forks.start(self.parser_command)
        for _ in range(_TRIES):
            with suppress(ContentsRemoved):
                return self.index_changes(objects, sha, base) or self.index_whole(objects, sha)
        raise TransientIndexError(
            f"expected contents to stay while they are indexed, and the upkeep removed some {_TRIES} times: run again"
        )

    def index_changes(self, objects: ObjectStore, sha: str, base: Base | None) -> IndexReport | None:
        """Index what differs from the commit before; None when there is none, or too much differs."""
        for _ in range(_TRIES):
            if base is None:
                return None
            changes = self._list_changes(objects, base, sha)
            if changes is None:
                return None
            stored = _Stored()
            self._parse_new(objects, changes.entries, len(changes.entries), stored.add)
            try:
                return self._publish_changes(base, replace(changes, entries=stored.entries), stored.ids, sha)
            except BaseUnfit:
                return None
            except BaseMoved:
                known = self.publish_known(sha)
                if known is not None:
                    return known
                base = self.find_base()
        return None

    def index_whole(self, objects: ObjectStore, sha: str) -> IndexReport:
        """Index a commit from its whole list of files."""
        with ExitStack() as files:
            with self.reporter.phase("list"):
                listing = files.enter_context(list_commit(objects, sha))
            filled = _NewListing(self.transaction, self.repository_id)
            with self._giving_up(filled):
                self._parse_new(objects, listing.entries(), listing.count, filled.store_files)
                return self._publish_listing(filled, sha, listing.cpp_sources)

    def _list_changes(self, objects: ObjectStore, base: Base, sha: str) -> Changes | None:
        with self.reporter.phase("list"):
            return list_changes(objects, base.sha, sha, file_count=base.file_count, cpp_sources=base.cpp_sources)

    def _parse_new(self, objects: ObjectStore, entries: Iterable[Entry], count: int, store_files: StoreFiles) -> None:
        """Parse the contents that were never seen, and store them in batches as they come, and their files."""
        with self.reporter.phase("parse", files_total=count):
            unreadable = parse_contents(
                self.connection,
                objects,
                self._watched(entries),
                self.reporter,
                Parsers(self.limits, command=self.parser_command),
                store_files,
            )
        if unreadable:
            self._expect_whole()

    def _watched(self, entries: Iterable[Entry]) -> Iterator[Entry]:
        for entry in entries:
            if entry.skip_reason == skips.MISSING:
                self._expect_whole()
            yield entry

    def _expect_whole(self) -> None:
        """What a server sends is whole; when something is missing, it is our copy that is damaged."""
        if self._may_be_damaged:
            raise _DamagedCache

    def _publish_listing(self, filled: _NewListing, sha: str, cpp_sources: int) -> IndexReport:
        """The one moment at which readers see the commit."""
        listing_id = filled.begin()
        with self.reporter.phase("publish"), self.transaction(is_last=True) as cursor:
            report = publish.publish_listing(
                cursor, self.repository_id, listing_id, sha, self.how, cpp_sources, self.reporter.seconds
            )
            self._ask_to_publish(cursor)
        return report

    def _publish_changes(self, base: Base, changes: Changes, ids: Mapping[Blob, int], sha: str) -> IndexReport:
        """The same for a commit that is told by its changes."""
        phase = self.reporter.phase("publish", files_total=changes.file_count)
        with phase, self.transaction(is_last=True) as cursor:
            report = publish.publish_changes(
                cursor, self.repository_id, base, changes, ids, sha, self.how, self.reporter.seconds
            )
            self._ask_to_publish(cursor)
        return report

    def _ask_to_publish(self, cursor: Cursor) -> None:
        if self.before_publish is not None:
            self.before_publish(cursor)

    @contextmanager
    def _giving_up(self, filled: _NewListing) -> Iterator[None]:
        """Leave what was stored of a commit to the upkeep when the block fails."""
        try:
            yield
        except BaseException:
            # When the database is gone as well, the upkeep finds out by its age.
            if filled.listing_id is not None:
                with suppress(psycopg2.Error), self.transaction() as cursor:
                    publish.give_up(cursor, filled.listing_id)
            raise


@dataclass
class _NewListing:
    """A listing that is invisible until it is published, made when there is something to store in it: by then the
    parsers work."""

    transaction: Callable[[], AbstractContextManager[Cursor]]
    repository_id: str
    #: None: not made yet.
    listing_id: int | None = None

    def begin(self) -> int:
        if self.listing_id is None:
            # In a transaction of its own: it holds the repository, and files hold contents.
            with self.transaction() as cursor:
                self.listing_id = publish.begin_listing(cursor, self.repository_id)
        return self.listing_id

    def store_files(self, entries: Sequence[Entry], ids: Mapping[Blob, int]) -> None:
        listing_id = self.begin()
        with self.transaction() as cursor:
            publish.store_files(cursor, listing_id, entries, ids)


@dataclass
class _Stored:
    """Files whose contents are stored, as they were read, and the ids of their contents."""

    entries: list[Entry] = field(default_factory=list)
    ids: dict[Blob, int] = field(default_factory=dict)

    def add(self, entries: Sequence[Entry], ids: Mapping[Blob, int]) -> None:
        self.entries.extend(entries)
        self.ids.update(ids)
