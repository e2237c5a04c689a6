"""Finding what was indexed, in the commit of each repository that was published last."""

from __future__ import annotations

from dataclasses import dataclass

from psycopg2.extensions import cursor as Cursor  # noqa: N812 a class, whatever the driver calls it

from indexing.queries import query


@dataclass(frozen=True)
class SymbolHit:
    """A symbol where it is defined. Lines count from 1, the last one included."""

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


def find_symbols(
    cursor: Cursor,
    name: str,
    *,
    prefix: bool = False,
    kind: str | None = None,
    language: str | None = None,
    path: str | None = None,
    repository: str | None = None,
    limit: int = 50,
) -> list[SymbolHit]:
    """Symbols by name, or by the beginning of it.

    ``path``: a file, or a directory with everything below it, as ``indexing.paths`` writes them; ``repository``: a
    name, URL or id.
    """
    values = {
        "name": name,
        "pattern": _escape_like(name) + "%",
        "kind": kind,
        "language": language,
        "path": path,
        "path_prefix": None if path is None else _escape_like(path.rstrip("/")) + "/%",
        "repository": repository,
        "limit": limit,
    }
    cursor.execute(query("find_symbols_by_prefix" if prefix else "find_symbols"), values)
    return [SymbolHit(*row) for row in cursor.fetchall()]


def _escape_like(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
