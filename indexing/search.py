"""Finding what was indexed: symbols by name, the outline of a file, and who depends on it.

Without a commit, in the one of each repository that was published last. Each answer reads what it shows and little
more; how it is found stands with the statements.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final, Literal

from psycopg2.extensions import cursor as Cursor  # noqa: N812 a class, whatever the driver calls it

from indexing.names import similar_names
from indexing.queries import query

#: How a name is compared. ``fuzzy``: by likeness where pg_trgm is installed, else without regard to case.
Match = Literal["exact", "prefix", "fuzzy"]

#: A search that is narrowed to so many files looks in them; another one follows the names.
_FEW_FILES: Final = 5000

#: Symbols looked at in one statement, to begin with.
_FIRST_PAGE: Final = 200

#: Content -> where it is: repository, URL, commit, path, language.
Files = dict[int, list[tuple[Any, ...]]]

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
    search = _Search(
        cursor, _commits(cursor, repository, commit), kind, language, None if path is None else path.rstrip("/")
    )
    is_narrow = path is not None or repository is not None or commit is not None
    files = search.files_below() if is_narrow else None
    if match != "fuzzy":
        hits = search.find(name, match, files, limit)
        return sorted(hits, key=lambda hit: (hit.name, hit.repository, hit.repository_url, hit.file, hit.first_line))
    hits = []
    for similar in similar_names(cursor, name):
        if len(hits) < limit:
            hits += search.find(similar, "exact", files, limit - len(hits))
    return hits


@dataclass(frozen=True)
class _Search:
    """One search: where, and for what kind of symbol."""

    cursor: Cursor
    commit_ids: list[int]
    kind: str | None
    language: str | None
    path: str | None

    def find(self, name: str, match: Match, files: Files | None, limit: int) -> list[SymbolHit]:
        """``files``: by content, when they are few; None: all of the commits."""
        names = "s.name = %(name)s" if match == "exact" else "s.name LIKE %(name)s"
        values = {
            "name": name if match == "exact" else _escape_like(name) + "%",
            "kind": self.kind,
            "language": self.language,
            "commit_ids": self.commit_ids,
            "limit": limit,
        }
        return self._in_files(names, values, files) if files is not None else self._in_commits(names, name, values)

    def files_below(self) -> Files | None:
        """The files that the search is narrowed to; None when they are many."""
        values = {"path": self.path, "language": self.language, "commit_ids": self.commit_ids, "most": _FEW_FILES + 1}
        self.cursor.execute(query("files_below"), values)
        rows = self.cursor.fetchall()
        # A directory is always looked through: names alone would lead to all the others first.
        if len(rows) > _FEW_FILES and self.path is None:
            return None
        if len(rows) > _FEW_FILES:
            self.cursor.execute(query("files_below"), {**values, "most": None})
            rows = self.cursor.fetchall()
        files: Files = {}
        for blob_id, *where in rows:
            files.setdefault(blob_id, []).append(tuple(where))
        return files

    def _in_files(self, names: str, values: dict[str, Any], files: Files) -> list[SymbolHit]:
        if not files:
            return []
        self.cursor.execute(query("symbols_in_contents").replace("{names}", names), {**values, "blob_ids": list(files)})
        found = [(blob_id, symbol) for blob_id, *symbol in self.cursor.fetchall()]
        return [SymbolHit(*where, *symbol) for blob_id, symbol in found for where in files[blob_id]][: values["limit"]]

    def _in_commits(self, names: str, name: str, values: dict[str, Any]) -> list[SymbolHit]:
        """In the order of the names' index, a page after the other, each larger than the one before."""
        hits: list[SymbolHit] = []
        # Just in front of the first: an index scan begins where the last bound that it is given says.
        after: tuple[Any, ...] = (name, -1, -1)
        page = _FIRST_PAGE
        while len(hits) < values["limit"]:
            bounds = {**values, **dict(zip(("name_after", "blob_after", "ordinal_after"), after, strict=True))}
            self.cursor.execute(query("end_of_page").replace("{names}", names), {**bounds, "page": page})
            end = self.cursor.fetchone()
            if end is None:
                break
            bounds |= dict(zip(("name_to", "blob_to", "ordinal_to"), end, strict=True))
            bounds["limit"] = values["limit"] - len(hits)
            self.cursor.execute(query("symbols_on_page").replace("{names}", names), bounds)
            hits += [SymbolHit(*row) for row in self.cursor.fetchall()]
            after, page = end, page * 4
        return hits


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
