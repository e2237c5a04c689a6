"""What imports name, in the one form that can be compared with ``modules.module_of`` of a file."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

from indexing.found import Import, Text

if TYPE_CHECKING:
    from tree_sitter import Node

#: Longest import kept, in characters: it is a key, and an index row takes 2,700 bytes.
MAX_TARGET: Final = 400

_SCRIPT_SUFFIX = re.compile(r"(\.d\.[cm]?ts|\.[cm]?[jt]sx?)$")
_ALIASES = ("@/", "~/", "#/")


def imported(node: Node, target: str, parts: Sequence[str] | None, up: int | None = None) -> Iterable[Import]:
    """An import of the file whose path is, or ends with, these parts; of none here when there are none."""
    return imported_at(node.start_point.row + 1, target, parts, up)


def imported_at(line: int, target: str, parts: Sequence[str] | None, up: int | None = None) -> Iterable[Import]:
    """The same by the number of its line."""
    target = target.replace("\x00", "")
    if len(target) > MAX_TARGET or not target:
        return ()
    if not parts:
        return (Import(line, target),)
    return (Import(line, target, "/" + "/".join(parts).replace("\x00", ""), up),)


def from_path(node: Node, path: str, *, suffix: str = "", is_relative: bool = False) -> Iterable[Import]:
    """A path as C, Ruby and PHP write it; ``./`` and ``../`` count from the file when ``is_relative``."""
    parts, up = _steps(path.removesuffix(suffix).split("/"))
    return imported(node, path, parts, up if is_relative else None)


def from_script(node: Node, specifier: str) -> Iterable[Import]:
    """A specifier of JavaScript's: a path beside the file, or a package, which is not here."""
    if not specifier.startswith("."):
        alias = next((each for each in _ALIASES if specifier.startswith(each)), None)
        parts = None if alias is None else _without_index(specifier[len(alias) :].split("/"))
        return imported(node, specifier, parts)
    steps, up = _steps(specifier.split("/"))
    return imported(node, specifier, _without_index(steps), up)


def string_in(node: Node | None, text: Text) -> str | None:
    """What a plain string literal says; None for anything else."""
    if node is None or "string" not in node.type:
        return None
    content = text(node)
    if len(content) < 2 or content[0] not in "'\"`" or content[-1] != content[0] or "${" in content:
        return None
    return content[1:-1]


def _steps(parts: Sequence[str]) -> tuple[list[str], int]:
    """``../a/./b/../c`` as ``a/c`` and how many directories up that begins."""
    down: list[str] = []
    up = 0
    for part in parts:
        if part == ".." and down:
            down.pop()
        elif part == "..":
            up += 1
        elif part not in ("", "."):
            down.append(part)
    return down, up


def _without_index(parts: list[str]) -> list[str]:
    if parts:
        parts = [*parts[:-1], _SCRIPT_SUFFIX.sub("", parts[-1])]
    return parts[:-1] if parts[-1:] == ["index"] else parts
