"""Commits on their way into the tables, and the moment at which readers see them.

Each function is one transaction's work, or a part of the publishing one. The lock order stands in
``migrations/0002_listings.sql``.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, Final, NamedTuple

from psycopg2.errors import ForeignKeyViolation, UniqueViolation
from psycopg2.extensions import cursor as Cursor  # noqa: N812 a class, whatever the driver calls it

from indexing import languages, skips, store
from indexing.changes import Changes
from indexing.errors import RepositoryNotFound, TransientIndexError, UnsafeRepository
from indexing.languages.modules import module_of
from indexing.limits import Limits
from indexing.listing import Entry
from indexing.queries import query
from indexing.report import IndexReport
from indexing.store import Blob

#: The step of the first commit of a listing.
FIRST_STEP: Final = 0


class BaseMoved(Exception):
    """Another run has gone on from the commit that this one starts from: look again."""


class BaseUnfit(Exception):
    """The commit that this one starts from is not listed as git tells it: a whole list is needed."""


class ContentsRemoved(Exception):
    """The upkeep has removed a content that was known when this run asked for it: parse again."""


class Base(NamedTuple):
    """The newest commit of the newest listing: what the next commit's changes are told from."""

    commit_id: int
    listing_id: int
    step: int
    sha: str
    report: IndexReport
    cpp_sources: int

    @property
    def file_count(self) -> int:
        return self.report.files_processed + self.report.files_skipped


@dataclass
class Counts:
    """What files add up to; grows and shrinks with them."""

    by_language: Counter[str] = field(default_factory=Counter)
    by_reason: Counter[str] = field(default_factory=Counter)
    symbols: int = 0

    @classmethod
    def of(cls, report: IndexReport) -> Counts:
        return cls(Counter(report.files_by_language), Counter(report.skips_by_reason), report.symbols_extracted)

    def add(self, rows: Sequence[tuple[Any, ...]], sign: int = 1) -> int:
        """Add rows of language, skip reason, files, symbols; returns how many files they are."""
        total = 0
        for language, reason, files, symbols in rows:
            total += files
            self.symbols += sign * symbols
            if reason is None:
                self.by_language[language] += sign * files
            else:
                self.by_reason[reason] += sign * files
        return total

    def report(self, sha: str, seconds: Mapping[str, float]) -> IndexReport:
        languages_found, reasons = +self.by_language, +self.by_reason
        return IndexReport(
            sha,
            languages_found.total(),
            reasons.total(),
            self.symbols,
            dict(languages_found),
            dict(reasons),
            seconds=seconds,
        )


def reading(limits: Limits) -> str:
    """How files are read now, in one text: a commit that was read in the same way need not be read again."""
    return f"{languages.FINGERPRINT} max_file_bytes:{limits.max_file_bytes}"


def find_published(cursor: Cursor, repository_id: str, sha: str, how: str) -> tuple[int, IndexReport] | None:
    """A commit that is indexed already, read as ``reading`` says."""
    cursor.execute(query("find_published"), {"repository_id": repository_id, "sha": sha, "reading": how})
    row = cursor.fetchone()
    return None if row is None else (int(row[0]), IndexReport(**row[1]))


def find_base(cursor: Cursor, repository_id: str, how: str) -> Base | None:
    """What the next commit can be told from; None when there is nothing of the kind."""
    cursor.execute(query("find_base"), {"repository_id": repository_id, "reading": how})
    row = cursor.fetchone()
    if row is None:
        return None
    commit_id, listing_id, step, sha, stats, cpp_sources = row
    # What was missing may be there by now.
    if stats["skips_by_reason"].get(skips.MISSING):
        return None
    return Base(commit_id, listing_id, step, sha, IndexReport(**stats), cpp_sources)


def begin_listing(cursor: Cursor, repository_id: str) -> int:
    """An invisible listing for files to be stored in. RepositoryNotFound when its repository has been removed."""
    _lock_repository(cursor, repository_id)
    cursor.execute(query("begin_listing"), {"repository_id": repository_id})
    return int(_one(cursor)[0])


def store_files(cursor: Cursor, listing_id: int, entries: Sequence[Entry], ids: Mapping[Blob, int]) -> None:
    """Add files to an invisible listing. ``ids``: of their contents. ContentsRemoved."""
    cursor.execute(query("touch_listing"), {"listing_id": listing_id})
    _expect_alive(cursor)
    _copy_files(cursor, listing_id, FIRST_STEP, entries, ids)


def give_up(cursor: Cursor, listing_id: int) -> None:
    """Leave a listing that will not be published to the upkeep."""
    cursor.execute(query("give_up_listing"), {"listing_id": listing_id})


def publish_listing(
    cursor: Cursor, repository_id: str, listing_id: int, sha: str, how: str, cpp_sources: int, seconds: dict[str, float]
) -> IndexReport:
    """Make a filled listing visible as a commit, in the place of what an earlier run made of that."""
    _lock_repository(cursor, repository_id)
    cursor.execute(query("hold_listing"), {"listing_id": listing_id})
    _expect_alive(cursor)
    cursor.execute(query("count_files"), {"listing_id": listing_id})
    counts = Counts()
    counts.add(cursor.fetchall())
    report = counts.report(sha, seconds)
    _publish(cursor, repository_id, listing_id, FIRST_STEP, report, how, cpp_sources)
    return report


def publish_changes(
    cursor: Cursor,
    repository_id: str,
    base: Base,
    changes: Changes,
    ids: Mapping[Blob, int],
    sha: str,
    how: str,
    seconds: dict[str, float],
) -> IndexReport:
    """Store and show a commit that differs a little from ``base``. ``ids``: of the contents of what has changed.

    BaseMoved, BaseUnfit, ContentsRemoved.
    """
    step = base.step + 1
    where = {"listing_id": base.listing_id, "step": step}
    _lock_repository(cursor, repository_id)
    cursor.execute(query("advance_listing"), {**where, "base_id": base.commit_id})
    if cursor.rowcount != 1:
        raise BaseMoved
    counts = Counts.of(base.report)
    cursor.execute(query("close_files"), {**where, "paths": changes.gone})
    closed = counts.add(cursor.fetchall(), -1)
    if closed != len(changes.gone):
        raise BaseUnfit
    _copy_files(cursor, base.listing_id, step, changes.entries, ids)
    cursor.execute(query("count_changed"), {**where, "paths": [entry.path for entry in changes.entries]})
    counts.add(cursor.fetchall())
    report = counts.report(sha, seconds)
    _publish(cursor, repository_id, base.listing_id, step, report, how, changes.cpp_sources)
    return report


def publish_again(cursor: Cursor, repository_id: str, commit_id: int) -> None:
    """Make a commit that was published before the current one."""
    _lock_repository(cursor, repository_id)
    cursor.execute(query("publish_again"), {"commit_id": commit_id})
    _expect_alive(cursor)
    cursor.execute(query("set_current"), {"repository_id": repository_id, "commit_id": commit_id})


def _publish(
    cursor: Cursor, repository_id: str, listing_id: int, step: int, report: IndexReport, how: str, cpp_sources: int
) -> None:
    cursor.execute(query("remove_replaced"), {"repository_id": repository_id, "sha": report.commit_sha})
    replaced = [row[0] for row in cursor.fetchall()]
    values = {
        "repository_id": repository_id,
        "sha": report.commit_sha,
        "reading": how,
        "stats": json.dumps(report.as_json()),
        "listing_id": listing_id,
        "step": step,
        "cpp_sources": cpp_sources,
    }
    cursor.execute(query("insert_commit"), values)
    commit_id = _one(cursor)[0]
    for each in replaced:
        cursor.execute(query("release_listing"), {"listing_id": each})
    cursor.execute(query("set_current"), {"repository_id": repository_id, "commit_id": commit_id})


def _lock_repository(cursor: Cursor, repository_id: str) -> None:
    cursor.execute(query("lock_repository"), {"repository_id": repository_id})
    if cursor.fetchone() is None:
        raise RepositoryNotFound(f"expected a repository with the id {repository_id}, got none: it has been removed")


def _copy_files(cursor: Cursor, listing_id: int, step: int, entries: Sequence[Entry], ids: Mapping[Blob, int]) -> None:
    rows = (
        (
            listing_id,
            step,
            entry.path,
            rf"\x{entry.oid}",
            entry.size_bytes,
            entry.language,
            module_of(entry.path, entry.language),
            None if entry.language is None else ids[Blob(entry.oid, entry.language)],
            entry.skip_reason,
        )
        # In the order of the key, which is that of the locks as well.
        for entry in sorted(entries, key=attrgetter("path"))
    )
    try:
        store.copy(cursor, "copy_files", rows)
    except (KeyError, ForeignKeyViolation) as removed:
        raise ContentsRemoved from removed
    except UniqueViolation as violation:
        raise UnsafeRepository(
            "expected each path once in a commit, got one twice: git makes no such trees, and reads them as it likes"
        ) from violation


def _expect_alive(cursor: Cursor) -> None:
    if cursor.rowcount != 1:
        raise TransientIndexError(
            "expected this run's commit to be there, got none: it was removed meanwhile, run again"
        )


def _one(cursor: Cursor) -> tuple[Any, ...]:
    row = cursor.fetchone()
    assert row is not None
    return row
