"""Contents and their symbols on their way into the tables: each function is one transaction's work."""

from __future__ import annotations

import io
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from psycopg2.extensions import cursor as Cursor  # noqa: N812 a class, whatever the driver calls it

from indexing import languages, names
from indexing.frames import Rows, copy_row
from indexing.queries import query


class Blob(NamedTuple):
    """A content in a language: the key of what is stored once."""

    oid: str
    language: str


def known_blobs(cursor: Cursor, blobs: Sequence[Blob]) -> dict[Blob, int]:
    """The ids of those that were stored before, with the present version of their language."""
    if not blobs:
        return {}
    cursor.execute(query("known_blobs"), _keys(blobs))
    return _ids(cursor)


def store_blobs(cursor: Cursor, parsed: Mapping[Blob, Rows]) -> dict[Blob, int]:
    """Store contents with their symbols and imports, and return their ids; those that another job stored meanwhile are
    left as they are."""
    cursor.execute(
        query("insert_blobs"),
        {
            **_keys(parsed),
            "lines": [each.lines for each in parsed.values()],
            "symbol_counts": [each.symbol_count for each in parsed.values()],
            "skip_reasons": [each.skip_reason for each in parsed.values()],
        },
    )
    fresh = _ids(cursor)
    _copy_rows(cursor, "copy_symbols", ((blob_id, parsed[blob].symbols) for blob, blob_id in fresh.items()))
    _copy_rows(cursor, "copy_imports", ((blob_id, parsed[blob].imports) for blob, blob_id in fresh.items()))
    if named := [blob_id for blob, blob_id in fresh.items() if parsed[blob].symbols]:
        names.leave_unnamed(cursor, named)
    return fresh | known_blobs(cursor, [blob for blob in parsed if blob not in fresh])


def _copy_rows(cursor: Cursor, name: str, rows: Iterable[tuple[int, bytes]]) -> None:
    """COPY rows that lack nothing but the id of their content."""
    text = b"".join(
        [b"%d\t" % blob_id + each.replace(b"\n", b"\n%d\t" % blob_id) + b"\n" for blob_id, each in rows if each]
    )
    if text:
        cursor.copy_expert(query(name), io.BytesIO(text))


def copy(cursor: Cursor, name: str, rows: Iterable[Sequence[Any]]) -> None:
    """COPY rows of texts, numbers and None."""
    text = "".join([copy_row(row) + "\n" for row in rows])
    if text:
        cursor.copy_expert(query(name), io.StringIO(text))


def _keys(blobs: Collection[Blob]) -> dict[str, Any]:
    """Texts with blanks in between: the driver takes twice as long for lists of texts and of bytes."""
    return {
        "oids": " ".join([blob.oid for blob in blobs]),
        "languages": " ".join([blob.language for blob in blobs]),
        "versions": [languages.LANGUAGES[blob.language].version for blob in blobs],
    }


def _ids(cursor: Cursor) -> dict[Blob, int]:
    return {Blob(oid, language): blob_id for oid, language, blob_id in cursor.fetchall()}
