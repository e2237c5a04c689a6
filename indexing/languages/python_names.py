"""What names mean in Python: by its tree and by its lines alike."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from indexing.found import Import
from indexing.languages.imports import imported_at


def imports_of(line: int, names: Iterable[str]) -> Iterator[Import]:
    """``import a.b, c as d``."""
    for name in names:
        yield from imported_at(line, name, name.split("."))


def imports_from(line: int, target: str, names: Iterable[str]) -> Iterator[Import]:
    """``from ..a import b``: the module ``a``, and ``a.b`` where that may be one."""
    dots = len(target) - len(target.lstrip("."))
    up = dots - 1 if dots else None
    around = [part for part in target.lstrip(".").split(".") if part]
    yield from imported_at(line, target, around, up)
    for name in names:
        # Modules are written in lower case; everything else would be a row for each name of each import.
        if name.islower() and name != target:
            yield from imported_at(line, target + ("." if around else "") + name, [*around, name], up)


def is_exported(name: str) -> bool:
    """Whether a name says that others may use it."""
    return not name.startswith("_") or (name.startswith("__") and name.endswith("__"))
