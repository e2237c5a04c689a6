"""Finding what was indexed: symbols by name, the outline of a file, and who depends on it.

Without a commit, in the one of each repository that was published last. Each answer reads what it shows and little
more; how it is found stands with the statements.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final, Literal

from psycopg2.extensions import cursor as Cursor  # noqa: N812 a class, whatever the driver calls it

from indexing.queries import query

#: How a name is compared. ``fuzzy``: by likeness where pg_trgm is installed, else without regard to case.
Match = Literal["exact", "prefix", "fuzzy"]

_SHORT_ID: Final = re.compile(r"[0-9a-f]{4,64}")


@dataclass(frozen=True)
class SymbolHit:
    """A symbol where it is defined. Lines and columns count from 1, the last ones included; see ``found.Symbol``."""

    repository: str
    repository_url: str
    commit: str
    file: str
    language: str
    name: str
    kind: str
    first_line: int
    last_line: int
    signature: str
    parent: str | None
    first_column: int | None
    last_column: int | None
    first_byte: int | None
    end_byte: int | None
    doc: str | None
    exported: bool | None


@dataclass(frozen=True)
class FileHit:
    """A file of a commit. ``skip_reason``: why it has no symbols."""

    repository: str
    commit: str
    file: str
    language: str | None
    skip_reason: str | None


@dataclass(frozen=True)
class DependentHit:
    """A file that imports another one, and where it says so."""

    repository: str
    repository_url: str
    commit: str
    file: str
    language: str
    line: int
    target: str


def find_symbols(
    cursor: Cursor,
    name: str,
    *,
    match: Match = "exact",
    kind: str | None = None,
    language: str | None = None,
    path: str | None = None,
    repository: str | None = None,
    commit: str | None = None,
    limit: int = 50,
) -> list[SymbolHit]:
    """Symbols by name, by the beginning of it, or by a similar one.

    ``path``: a file, or a directory with everything below it, as ``indexing.paths`` writes them; ``repository``: a
    name, URL or id; ``commit``: an id or the beginning of one, of an indexed commit. Ordered by name and file; similar
    names by likeness.
    """
    names, order = _comparison(cursor, match)
    values = {
        "name": name,
        "pattern": _escape_like(name) + "%",
        "kind": kind,
        "language": language,
        "path": path,
        "path_prefix": None if path is None else _escape_like(path.rstrip("/")) + "/%",
        "repository": repository,
        "commit_ids": _commits(cursor, repository, commit) if commit is not None else [],
        "limit": limit,
    }
    statement = query("find_symbols" if commit is None else "find_symbols_at")
    cursor.execute(statement.replace("{names}", names).replace("{order}", order), values)
    hits = [SymbolHit(*row) for row in cursor.fetchall()]
    if match == "fuzzy":
        return hits
    return sorted(hits, key=lambda hit: (hit.name, hit.repository, hit.repository_url, hit.file, hit.first_line))


def outline(cursor: Cursor, path: str, *, repository: str | None = None, commit: str | None = None) -> list[SymbolHit]:
    """The symbols of a file, in its order; of each repository that has such a file."""
    cursor.execute(query("outline"), {"path": path, "commit_ids": _commits(cursor, repository, commit)})
    return [SymbolHit(*row) for row in cursor.fetchall()]


def find_files(cursor: Cursor, path: str, *, repository: str | None = None, commit: str | None = None) -> list[FileHit]:
    """The files with a path, one a repository."""
    cursor.execute(query("files_at"), {"path": path, "commit_ids": _commits(cursor, repository, commit)})
    return [FileHit(*row) for row in cursor.fetchall()]


def dependents(
    cursor: Cursor, path: str, *, repository: str | None = None, commit: str | None = None, limit: int = 1000
) -> list[DependentHit]:
    """The files of the same commit that import a file, where their language says by the path which one they mean."""
    values = {"path": path, "commit_ids": _commits(cursor, repository, commit), "limit": limit}
    cursor.execute(query("dependents"), values)
    return [DependentHit(*row) for row in cursor.fetchall()]


def _comparison(cursor: Cursor, match: Match) -> tuple[str, str]:
    """A condition on names and an order, both served by one index."""
    if match == "exact":
        return "s.name = %(name)s", "s.name, s.blob_id, s.ordinal, f.path"
    if match == "prefix":
        return "s.name LIKE %(pattern)s", "s.name, s.blob_id, s.ordinal, f.path"
    cursor.execute(query("place_of_trigrams"))
    place: Any = cursor.fetchone()
    if place is None:
        return "lower(s.name) = lower(%(name)s)", "s.name, s.blob_id, s.ordinal, f.path"
    return (
        f"s.name OPERATOR({place[0]}.%%) %(name)s",
        f"{place[0]}.similarity(s.name, %(name)s) DESC, s.name, s.blob_id, s.ordinal, f.path",
    )


def _commits(cursor: Cursor, repository: str | None, commit: str | None) -> list[int]:
    """The current commits, or those with an id that begins so."""
    if commit is None:
        cursor.execute(query("current_commits"), {"repository": repository})
    elif _SHORT_ID.fullmatch(commit.lower()):
        cursor.execute(query("commits_of"), {"repository": repository, "pattern": commit.lower() + "%"})
    else:
        return []
    return [row[0] for row in cursor.fetchall()]


def _escape_like(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
