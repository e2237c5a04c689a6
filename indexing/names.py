"""Names for fuzzy search: which are alike, and how they are taken over behind the job that brought them.

Until they are, a search reads them where they are: it lacks none, and takes longer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from typing import Any, Final

from psycopg2.extensions import connection as Connection  # noqa: N812 a class, whatever the driver calls it
from psycopg2.extensions import cursor as Cursor  # noqa: N812 the same

from indexing.queries import query

#: Similar names looked at by one search.
MOST_SIMILAR: Final = 50

#: How alike the names are that are asked for first, each as ``pg_trgm.similarity_threshold``. The less alike ones cost
#: the most: they are asked for where all of those in front are fewer than ``MOST_SIMILAR``, and behind ``_ENOUGH_FROM``
#: where they are fewer than ``_ENOUGH``.
_LIKENESSES: Final = (0.55, 0.45, 0.4)
_ENOUGH_FROM: Final = 0.45
_ENOUGH: Final = 10

#: Likeness is told in single precision.
_ROUNDING: Final = 1e-4

#: Batches of contents whose names are taken over in one transaction: some 40,000 symbols, half a second. So many cost a
#: quarter less than a few.
_BATCHES: Final = 8


def leave_unnamed(cursor: Cursor, blob_ids: Collection[int]) -> None:
    """Say that the names in these contents, which are stored in the same transaction, are to be taken over."""
    cursor.execute(query("leave_unnamed"), {"blob_ids": list(blob_ids)})


def take_names(connection: Connection, on_batch: Callable[[], None]) -> int:
    """Take over the names of contents that wait for it; returns how many batches of contents these were.

    Each transaction takes some batches; several may do this at once, each with other ones. ``on_batch`` is called
    between them and may raise to stop.
    """
    total = 0
    while True:
        with connection, connection.cursor() as cursor:
            cursor.execute("SET LOCAL synchronous_commit TO off")
            cursor.execute(query("take_names"), {"batches": _BATCHES})
            ((taken,),) = cursor.fetchall()
        total += int(taken)
        if taken < _BATCHES:
            break
        on_batch()
    if total:
        with connection, connection.cursor() as cursor:
            cursor.execute(query("settle_names"))
    return total


def similar_names(cursor: Cursor, name: str) -> list[str]:
    """Names that are alike, the most similar first; without pg_trgm the same name in any case."""
    values = {"name": name, "limit": MOST_SIMILAR}
    cursor.execute(query("place_of_trigrams"))
    place: Any = cursor.fetchone()
    if place is None:
        cursor.execute(query("names_in_any_case"), values)
        return [row[0] for row in cursor.fetchall()]
    cursor.execute(query("about_likeness"), values)
    ((least, size),) = cursor.fetchall()
    cursor.execute(query("unnamed_alike").replace("{place}", place[0]), values)
    unnamed: list[tuple[str, float]] = cursor.fetchall()
    found: dict[str, float] = {}
    for likeness in (*(each for each in _LIKENESSES if each > least), least):
        statement = query("names_alike").replace("{place}", place[0])
        cursor.execute(statement, {**values, "likeness": likeness, **_sizes(size, likeness)})
        found = dict(cursor.fetchall()) | {each: alike for each, alike in unnamed if alike >= likeness}
        if len(found) >= (_ENOUGH if likeness <= _ENOUGH_FROM else MOST_SIMILAR):
            break
    # Where the transaction is the caller's, it lasts.
    cursor.execute(query("set_least_likeness"), {"likeness": least})
    return sorted(found, key=lambda each: (-found[each], each))[:MOST_SIMILAR]


def _sizes(size: int, likeness: float) -> dict[str, int]:
    """How many trigrams a name can have that is so much like one with ``size`` of them."""
    return {"least": math.ceil(size * likeness - _ROUNDING), "most": math.floor(size / likeness + _ROUNDING)}
