"""Removing what nobody needs any more, in batches, beside running jobs.

Each batch is a transaction of its own. None holds a repository and waits for a content, or the other way round. A job
that was about to refer to a content which is removed here finds it missing and parses it again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, Final

from psycopg2.extensions import connection as Connection  # noqa: N812 a class, whatever the driver calls it
from psycopg2.extensions import cursor as Cursor  # noqa: N812 the same

from indexing.names import take_names
from indexing.queries import query

#: Rows removed in one transaction: some 50 ms.
BATCH: Final = 5000

#: A run that has not written for so long is dead, in seconds: more than the longest pause between two batches.
ABANDONED_SECONDS: Final = 6 * 3600

#: How long what a stopped job parsed is kept for its next run, in seconds: longer than its retries.
KEPT_SECONDS: Final = 48 * 3600

#: Between two pages of the search for unused contents behind jobs, in seconds: a page takes 50 ms, and a million
#: contents are looked at in some three hours of steady work.
PAUSE_SECONDS: Final = 60.0

#: Commits of one repository beyond those to keep, as a part of them, before they are removed: all at once costs a look
#: at all its files, which one commit must not.
_SLACK: Final = 0.5

#: Removing everything of a repository ends with so many looks for what a job has added meanwhile.
_LOOKS: Final = 3

OnBatch = Callable[[], None]


def no_pause() -> None:
    """The ``on_batch`` of callers that need none. It is called between batches and may raise to stop."""


def tidy(
    connection: Connection, repository_ids: Collection[str], keep_commits: int, on_batch: OnBatch = no_pause
) -> None:
    """What a worker does behind its jobs: take names over, remove a batch of what dead runs left, look at a page of
    contents for unused ones where nobody did for a while, and remove the oldest commits of these repositories.

    ``keep_commits``: how many commits of each stay beside the current one.
    """
    take_names(connection, on_batch)
    for listing_id in _abandoned(connection, limit=1):
        _remove_batch(connection, listing_id, KEPT_SECONDS)
    _collect_page(connection)
    for repository_id in repository_ids:
        on_batch()
        with connection, connection.cursor() as cursor:
            surplus = _surplus(cursor, repository_id, keep_commits)
        if len(surplus) > keep_commits * _SLACK:
            remove_old_commits(connection, repository_id, keep_commits, on_batch)


def remove_old_commits(connection: Connection, repository_id: str, keep: int, on_batch: OnBatch = no_pause) -> int:
    """Remove a repository's commits but the current one and the ``keep`` newest others; returns how many they were.

    What only they contained is removed as well.
    """
    with connection, connection.cursor() as cursor:
        _lock(cursor, repository_id)
        surplus = _surplus(cursor, repository_id, keep)
        cursor.execute(query("remove_commits"), {"ids": [commit_id for commit_id, _ in surplus]})
        cursor.execute(query("release_listings"), {"repository_id": repository_id})
    for listing_id in sorted({listing_id for _, listing_id in surplus}):
        _sweep(connection, repository_id, listing_id, on_batch)
        while _remove_batch(connection, listing_id):
            on_batch()
    return len(surplus)


def remove_repository(connection: Connection, repository_id: str, on_batch: OnBatch = no_pause) -> bool:
    """Remove a repository with its jobs and all that only it contained; False when there is none.

    Readers miss it at once; the rest follows in batches. A job that runs for it ends with RepositoryNotFound.
    """
    for _ in range(_LOOKS):
        with connection, connection.cursor() as cursor:
            if not _lock(cursor, repository_id):
                return False
            cursor.execute(query("remove_all_commits"), {"repository_id": repository_id})
            cursor.execute(query("release_listings"), {"repository_id": repository_id})
            cursor.execute(query("listings_of"), {"repository_id": repository_id})
            listings = [row[0] for row in cursor.fetchall()]
        for listing_id in listings:
            while _remove_batch(connection, listing_id):
                on_batch()
        while _execute(connection, "remove_jobs", repository_id=repository_id, limit=BATCH):
            on_batch()
    return bool(_execute(connection, "remove_repository", repository_id=repository_id))


def collect(connection: Connection, on_batch: OnBatch = no_pause) -> int:
    """Remove everything that nothing refers to, and return how many contents that were.

    Looks at every content, which workers do a page at a time (``tidy``): for those who do not want to wait for them.
    Takes over the names that still wait for it.
    """
    while listings := _abandoned(connection, limit=100):
        for listing_id in listings:
            while _remove_batch(connection, listing_id, KEPT_SECONDS):
                on_batch()
    removed = after = 0
    while True:
        with connection, connection.cursor() as cursor:
            cursor.execute(query("page_of_blobs"), {"after": after, "limit": BATCH})
            page = [row[0] for row in cursor.fetchall()]
            removed += _remove_unused(cursor, page, KEPT_SECONDS)
        if not page:
            break
        after = page[-1]
        on_batch()
    take_names(connection, on_batch)
    return removed


def _collect_page(connection: Connection) -> None:
    """Remove the unused among the next contents. It holds the place in the search, then contents; it waits for none."""
    with connection, connection.cursor() as cursor:
        cursor.execute(query("hold_collecting"), {"pause_seconds": PAUSE_SECONDS})
        place = cursor.fetchone()
        if place is None:
            return
        cursor.execute(query("page_of_blobs"), {"after": place[0], "limit": BATCH})
        page = [row[0] for row in cursor.fetchall()]
        _remove_unused(cursor, page, KEPT_SECONDS)
        cursor.execute(query("collected"), {"up_to": page[-1] if len(page) == BATCH else 0})


def _abandoned(connection: Connection, limit: int) -> list[int]:
    with connection, connection.cursor() as cursor:
        cursor.execute(query("abandoned_listings"), {"abandoned_seconds": ABANDONED_SECONDS, "limit": limit})
        return [row[0] for row in cursor.fetchall()]


def _remove_batch(connection: Connection, listing_id: int, kept_seconds: float = 0.0) -> bool:
    """A batch of a listing without commits; False when it is gone, or somebody else is at it.

    ``kept_seconds``: contents younger than this stay, whether something refers to them or not.
    """
    with connection, connection.cursor() as cursor:
        cursor.execute(query("remove_files"), {"listing_id": listing_id, "limit": BATCH})
        blobs = [row[0] for row in cursor.fetchall()]
        _remove_unused(cursor, blobs, kept_seconds)
        if len(blobs) < BATCH:
            cursor.execute(query("remove_listing"), {"listing_id": listing_id})
            return False
        return True


def _sweep(connection: Connection, repository_id: str, listing_id: int, on_batch: OnBatch) -> None:
    path, step = "", -1
    while True:
        page = {"listing_id": listing_id, "path": path, "step": step, "limit": BATCH}
        with connection, connection.cursor() as cursor:
            if not _lock(cursor, repository_id):
                return
            cursor.execute(query("page_of_spans"), page)
            end = cursor.fetchone()
            if end is None:
                return
            cursor.execute(query("sweep_spans"), {**page, "to_path": end[0], "to_step": end[1]})
            _remove_unused(cursor, [row[0] for row in cursor.fetchall()])
        path, step = end
        on_batch()


def _remove_unused(cursor: Cursor, blob_ids: list[int | None], kept_seconds: float = 0.0) -> int:
    ids = sorted({each for each in blob_ids if each is not None})
    if not ids:
        return 0
    cursor.execute(query("hold_unused_blobs"), {"ids": ids, "kept_seconds": kept_seconds})
    held = [row[0] for row in cursor.fetchall()]
    if not held:
        return 0
    cursor.execute(query("remove_unused_blobs"), {"ids": held})
    return int(cursor.rowcount)


def _surplus(cursor: Cursor, repository_id: str, keep: int) -> list[tuple[int, int]]:
    cursor.execute(query("surplus_commits"), {"repository_id": repository_id, "keep": keep})
    return cursor.fetchall()


def _lock(cursor: Cursor, repository_id: str) -> bool:
    cursor.execute(query("lock_repository"), {"repository_id": repository_id})
    return cursor.fetchone() is not None


def _execute(connection: Connection, name: str, **values: Any) -> int:
    with connection, connection.cursor() as cursor:
        cursor.execute(query(name), values)
        return int(cursor.rowcount)
