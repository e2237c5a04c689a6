"""The room's SQL by name, read from ``sql/*.sql``.

``-- name: <name>`` starts a statement; the comment lines behind it say which invariant it keeps. Tables are named with
their schema, so that a statement can be pasted into psql.
"""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path

#: The schema of every table here; migrations leave it to their runner's search_path.
SCHEMA = "indexing"
MIGRATIONS = Path(__file__).parent / "migrations"

_DIRECTORY = Path(__file__).parent / "sql"
_NAME_LINE = re.compile(r"^-- name: (\w+)\s*$", re.MULTILINE)
_COMMENT_LINE = re.compile(r"^\s*--.*\n?", re.MULTILINE)


@lru_cache(maxsize=1)
def _statements() -> dict[str, str]:
    found: dict[str, str] = {}
    for path in sorted(_DIRECTORY.glob("*.sql")):
        _, *parts = _NAME_LINE.split(path.read_text("utf-8"))
        for name, body in zip(parts[::2], parts[1::2], strict=True):
            if name in found:
                raise ValueError(
                    f"expected every statement to have a name of its own, got {name} twice, see {path.name}"
                )
            found[name] = _COMMENT_LINE.sub("", body).strip()
    return found


def query(name: str) -> str:
    """The statement called ``name``; KeyError when no file has it."""
    return _statements()[name]
