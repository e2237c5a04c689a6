"""What a commit changes of another one: read instead of the whole list when the other one is indexed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from indexing import git, languages, paths
from indexing.diff_tree import Change
from indexing.listing import Entry, check_count, entry_of, is_blob
from indexing.objects import ObjectStore

#: More changes than this, and than this part of the files, cost as much as a new list. They go into one transaction.
_MOST_CHANGES: Final = 1000
_MOST_PART: Final = 0.25


@dataclass(frozen=True)
class Changes:
    """Files that are new or different, and the paths that they are in the place of, or that are gone."""

    entries: list[Entry]
    #: As they are stored.
    gone: list[str]
    #: Of the whole commit, after the change.
    file_count: int
    cpp_sources: int


def list_changes(store: ObjectStore, base: str, sha: str, *, file_count: int, cpp_sources: int) -> Changes | None:
    """From the commit ``base``, with so many files and C++ sources, to ``sha``; None when a whole list serves better.

    That is when too much has changed, when headers change their language with it, or when ``base`` is not here.
    RepositoryTooLarge when the limits allow less.
    """
    try:
        changes = store.changes(base, sha, int(max(_MOST_CHANGES, file_count * _MOST_PART)))
    except git.GitFailed:
        return None
    if changes is None:
        return None
    count = file_count + sum((each.status == b"A") - (each.status == b"D") for each in changes)
    check_count(count, store.limits)
    cpp_after = cpp_sources + sum(
        ((each.status == b"A") - (each.status == b"D")) * languages.is_cpp_source(each.path) for each in changes
    )
    if (cpp_after > 0) != (cpp_sources > 0):
        return None
    entries = _entries(store, [each for each in changes if each.status != b"D"], has_cpp=cpp_after > 0)
    gone = [paths.to_stored(each.path)[0] for each in changes if each.status != b"A"]
    return Changes(entries, gone, count, cpp_after)


def _entries(store: ObjectStore, changes: list[Change], *, has_cpp: bool) -> list[Entry]:
    blobs = [each.oid.decode() for each in changes if is_blob(each.mode)]
    sizes = iter(store.sizes(blobs))
    return [
        entry_of(
            each.mode,
            each.oid,
            each.path,
            next(sizes) if is_blob(each.mode) else None,
            store.limits,
            has_cpp=has_cpp,
        )
        for each in changes
    ]
