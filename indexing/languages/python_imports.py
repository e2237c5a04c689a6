"""Import statements of Python, as its lines have them: remembered, since most files import what others import too."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from indexing.found import Import
from indexing.languages import python_lines as lines
from indexing.languages.python_names import imports_from, imports_of

#: What tells an import from all others of a file: module, up, target.
Key = tuple[str | None, int | None, str]

#: A longer statement is not remembered, in bytes: all of them together take a few MB at most.
_REMEMBERED_BYTES = 200
_REMEMBERED = 2000


class UnknownImport(Exception):
    """The statement is not what is known here."""


def keys_of(statement: bytes) -> tuple[Key, ...]:
    """What a statement that ``lines.IMPORT`` has found imports; UnknownImport."""
    return _remembered(statement) if len(statement) <= _REMEMBERED_BYTES else _keys_of(statement)


def _keys_of(statement: bytes) -> tuple[Key, ...]:
    return tuple((each.module, each.up, each.target) for each in _imports(statement))


_remembered = lru_cache(_REMEMBERED)(_keys_of)


def _imports(statement: bytes) -> Iterator[Import]:
    found = lines.IMPORT.match(statement)
    if found is None:
        raise UnknownImport
    plain, source, bracketed, behind = found.groups()
    if plain is not None:
        yield from imports_of(0, _names(plain))
        return
    target = source.decode("utf-8", "replace")
    if not target:
        raise UnknownImport
    names = _names(behind if bracketed is None else lines.COMMENT.sub(b"", bracketed))
    if target != "__future__":
        yield from imports_from(0, target, [name for name in names if name != "*"])


def _names(text: bytes) -> list[str]:
    names = []
    for part in text.replace(b"\\", b" ").rstrip().removesuffix(b",").split(b","):
        name = part.strip().decode("utf-8", "replace")
        if not name.isidentifier():
            found = lines.IMPORTED.fullmatch(part)
            if found is None:
                raise UnknownImport
            name = found[1].decode("utf-8", "replace")
        names.append(name)
    return names
