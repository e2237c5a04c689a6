"""Contents and their symbols on their way into the tables: each function is one transaction's work."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from psycopg2.extensions import cursor as Cursor  # noqa: N812 a class, whatever the driver calls it

from indexing import languages
from indexing.frames import Rows, copy_field
from indexing.queries import query


class Blob(NamedTuple):
    """A content in a language: the key of what is stored once."""

    oid: str
    language: str


def known_blobs(cursor: Cursor, blobs: Sequence[Blob]) -> dict[Blob, int]:
    """The ids of those that were stored before, with the present version of their language."""
    if not blobs:
        return {}
    cursor.execute(
        query("known_blobs"),
        {
            "oids": [bytes.fromhex(blob.oid) for blob in blobs],
            "languages": [blob.language for blob in blobs],
            "versions": [_version(blob.language) for blob in blobs],
        },
    )
    return _ids(cursor)


def store_blobs(cursor: Cursor, parsed: Mapping[Blob, Rows], known_names: set[str]) -> dict[Blob, int]:
    """Store contents with their symbols and imports, and return their ids; those that another job stored meanwhile are
    left as they are.

    ``known_names``: names that are stored; those of these contents are added to it.
    """
    cursor.execute(
        query("insert_blobs"),
        {
            "oids": [bytes.fromhex(blob.oid) for blob in parsed],
            "languages": [blob.language for blob in parsed],
            "versions": [_version(blob.language) for blob in parsed],
            "lines": [each.lines for each in parsed.values()],
            "symbol_counts": [each.symbol_count for each in parsed.values()],
            "skip_reasons": [each.skip_reason for each in parsed.values()],
        },
    )
    fresh = _ids(cursor)
    _copy_rows(cursor, "copy_symbols", ((blob_id, parsed[blob].symbols) for blob, blob_id in fresh.items()))
    names = {name for blob in fresh for name in parsed[blob].names} - known_names
    if names:
        cursor.execute(query("insert_names"), {"names": list(names)})
        known_names |= names
    _copy_rows(cursor, "copy_imports", ((blob_id, parsed[blob].imports) for blob, blob_id in fresh.items()))
    return fresh | known_blobs(cursor, [blob for blob in parsed if blob not in fresh])


def _copy_rows(cursor: Cursor, name: str, rows: Iterable[tuple[int, bytes]]) -> None:
    """COPY rows that lack nothing but the id of their content."""
    text = b"".join(
        [b"%d\t" % blob_id + each.replace(b"\n", b"\n%d\t" % blob_id) + b"\n" for blob_id, each in rows if each]
    )
    if text:
        cursor.copy_expert(query(name), io.BytesIO(text))


def copy(cursor: Cursor, name: str, rows: Iterable[Sequence[Any]]) -> None:
    """COPY rows of texts, numbers and None in its text format."""
    text = "".join(["\t".join(map(copy_field, row)) + "\n" for row in rows])
    if text:
        cursor.copy_expert(query(name), io.StringIO(text))


def _ids(cursor: Cursor) -> dict[Blob, int]:
    return {Blob(bytes(oid).hex(), language): blob_id for oid, language, blob_id in cursor.fetchall()}


def _version(language: str) -> int:
    return languages.LANGUAGES[language].version
