"""The tables' side of indexing: each function is one transaction's work, on a cursor of the caller's."""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from psycopg2.extensions import cursor as Cursor  # noqa: N812 a class, whatever the driver calls it

from indexing import languages
from indexing.errors import RepositoryNotFound, TransientIndexError
from indexing.frames import Parsed
from indexing.listing import Entry
from indexing.queries import query
from indexing.report import IndexReport

_COPY_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})

#: A run that has not written for so long is dead, in seconds: more than the longest pause between two batches.
ABANDONED_SECONDS = 6 * 3600


class Blob(NamedTuple):
    """A content in a language: the key of what is stored once."""

    oid: str
    language: str


class CommitCounts(NamedTuple):
    """What the files of a commit add up to."""

    files_processed: int
    files_skipped: int
    symbols: int
    files_by_language: Mapping[str, int]
    skips_by_reason: Mapping[str, int]


def known_blobs(cursor: Cursor, blobs: Sequence[Blob]) -> set[Blob]:
    """Those that were stored before, with the present version of their language."""
    cursor.execute(
        query("known_blobs"),
        {
            "oids": [bytes.fromhex(blob.oid) for blob in blobs],
            "languages": [blob.language for blob in blobs],
            "versions": [_version(blob.language) for blob in blobs],
        },
    )
    return {Blob(bytes(oid).hex(), language) for oid, language in cursor.fetchall()}


def store_blobs(cursor: Cursor, parsed: Mapping[Blob, Parsed]) -> None:
    """Store contents and their symbols; those that another job stored meanwhile are left as they are."""
    cursor.execute(query("stage_blobs"))
    _copy(cursor, "copy_blobs", (_blob_row(blob, result) for blob, result in parsed.items()))
    _copy(cursor, "copy_symbols", (row for blob, result in parsed.items() for row in _symbol_rows(blob, result)))
    cursor.execute(query("insert_blobs"))


def begin_commit(cursor: Cursor, repository_id: str, sha: str) -> int:
    """An invisible commit for files to be stored in. RepositoryNotFound when its repository has been removed."""
    _lock_repository(cursor, repository_id)
    cursor.execute(
        query("begin_commit"), {"repository_id": repository_id, "sha": sha, "extractors": languages.FINGERPRINT}
    )
    return int(_one(cursor)[0])


def store_files(cursor: Cursor, commit_id: int, entries: Iterable[Entry]) -> None:
    """Add files to an invisible commit; the blobs of those without a skip reason must have been stored."""
    _touch(cursor, commit_id)
    cursor.execute(query("stage_files"))
    _copy(cursor, "copy_files", (_file_row(entry) for entry in entries))
    cursor.execute(query("insert_files"), {"commit_id": commit_id})


def count_files(cursor: Cursor, commit_id: int) -> CommitCounts:
    """Count the files of a commit."""
    by_language: Counter[str] = Counter()
    by_reason: Counter[str] = Counter()
    symbols = 0
    cursor.execute(query("count_files"), {"commit_id": commit_id})
    for language, reason, files, found in cursor.fetchall():
        symbols += found
        if reason is None:
            by_language[language] += files
        else:
            by_reason[reason] += files
    return CommitCounts(by_language.total(), by_reason.total(), symbols, dict(by_language), dict(by_reason))


def find_published(cursor: Cursor, repository_id: str, sha: str) -> tuple[int, IndexReport] | None:
    """A commit that is indexed already, with the present versions of all languages."""
    cursor.execute(
        query("find_published"), {"repository_id": repository_id, "sha": sha, "extractors": languages.FINGERPRINT}
    )
    row = cursor.fetchone()
    return None if row is None else (int(row[0]), IndexReport(**row[1]))


def publish(cursor: Cursor, repository_id: str, commit_id: int, report: IndexReport) -> None:
    """Make a commit visible and current, in the place of what an earlier run made of it."""
    _lock_repository(cursor, repository_id)
    cursor.execute(
        query("remove_replaced"), {"repository_id": repository_id, "sha": report.commit_sha, "commit_id": commit_id}
    )
    cursor.execute(query("publish_commit"), {"commit_id": commit_id, "stats": json.dumps(report.as_json())})
    _expect_alive(cursor)
    cursor.execute(query("set_current"), {"repository_id": repository_id, "commit_id": commit_id})


def publish_again(cursor: Cursor, repository_id: str, commit_id: int) -> None:
    """Make a commit that was published before the current one."""
    _lock_repository(cursor, repository_id)
    cursor.execute(query("publish_again"), {"commit_id": commit_id})
    _expect_alive(cursor)
    cursor.execute(query("set_current"), {"repository_id": repository_id, "commit_id": commit_id})


def discard(cursor: Cursor, commit_id: int) -> None:
    """Remove a commit that will not be published."""
    cursor.execute(query("discard_commit"), {"commit_id": commit_id})


def discard_abandoned(cursor: Cursor) -> None:
    """Remove some of what dead runs left behind."""
    cursor.execute(query("discard_abandoned"), {"abandoned_seconds": ABANDONED_SECONDS})


def _lock_repository(cursor: Cursor, repository_id: str) -> None:
    cursor.execute(query("lock_repository"), {"repository_id": repository_id})
    if cursor.fetchone() is None:
        raise RepositoryNotFound(f"expected a repository with the id {repository_id}, got none: it has been removed")


def _touch(cursor: Cursor, commit_id: int) -> None:
    cursor.execute(query("touch_commit"), {"commit_id": commit_id})
    _expect_alive(cursor)


def _expect_alive(cursor: Cursor) -> None:
    if cursor.rowcount != 1:
        raise TransientIndexError(
            "expected this run's commit to be there, got none: it was removed meanwhile, run again"
        )


def _version(language: str) -> int:
    return languages.LANGUAGES[language].version


def _blob_row(blob: Blob, parsed: Parsed) -> tuple[Any, ...]:
    oid, language = blob
    return (rf"\x{oid}", language, _version(language), parsed.lines, len(parsed.symbols), parsed.skip_reason)


def _symbol_rows(blob: Blob, parsed: Parsed) -> Iterable[tuple[Any, ...]]:
    oid = rf"\x{blob.oid}"
    for ordinal, symbol in enumerate(parsed.symbols):
        yield (oid, blob.language, ordinal, *symbol)


def _file_row(entry: Entry) -> tuple[Any, ...]:
    version = None if entry.language is None else _version(entry.language)
    oid = rf"\x{entry.oid}"
    return (entry.position, entry.path, oid, entry.size_bytes, entry.language, version, entry.skip_reason)


def _copy(cursor: Cursor, name: str, rows: Iterable[Sequence[Any]]) -> None:
    """COPY rows in its text format."""
    text = io.StringIO()
    for row in rows:
        text.write("\t".join("\\N" if value is None else str(value).translate(_COPY_ESCAPES) for value in row))
        text.write("\n")
    text.seek(0)
    cursor.copy_expert(query(name), text)


def _one(cursor: Cursor) -> tuple[Any, ...]:
    row = cursor.fetchone()
    assert row is not None
    return row
