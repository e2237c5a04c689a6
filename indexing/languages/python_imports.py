"""Import statements of Python, as its lines have them: remembered, since most files import what others import too."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from indexing.found import Import
from indexing.languages import python_lines as lines
from indexing.languages.python_names import imports_from, imports_of
from indexing.languages.python_pieces import SPACES, as_text
from indexing.written import field

#: A longer statement is not remembered, in bytes: all of them together take a few MB at most.
_REMEMBERED_BYTES = 200
_REMEMBERED = 2000


class UnknownImport(Exception):
    """The statement is not what is known here."""


def wanted_by(statement: str) -> tuple[str, ...]:
    """What a statement that ``lines.IMPORT`` has found imports: rows without ordinal and line; UnknownImport."""
    return _remembered(statement) if len(statement) <= _REMEMBERED_BYTES else _wanted_by(statement)


def _wanted_by(statement: str) -> tuple[str, ...]:
    return tuple(f"{field(each.target)}\t{field(each.module)}\t{field(each.up)}" for each in _imports(statement))


_remembered = lru_cache(_REMEMBERED)(_wanted_by)


def _imports(statement: str) -> Iterator[Import]:
    found = lines.IMPORT.match(statement)
    if found is None:
        raise UnknownImport
    plain, source, bracketed, behind = found.groups()
    if plain is not None:
        yield from imports_of(0, _names(plain))
        return
    target = as_text(source)
    if not target:
        raise UnknownImport
    names = _names(behind if bracketed is None else lines.COMMENT.sub("", bracketed))
    if target != "__future__":
        yield from imports_from(0, target, [name for name in names if name != "*"])


def _names(text: str) -> list[str]:
    names = []
    for part in text.replace("\\", " ").rstrip(SPACES).removesuffix(",").split(","):
        name = as_text(part.strip(SPACES))
        if not name.isidentifier():
            found = lines.IMPORTED.fullmatch(part)
            if found is None:
                raise UnknownImport
            name = as_text(found[1])
        names.append(name)
    return names
