"""Assignments to several names at once, ``a = B = 1``, of which the lines of a Python file tell only the first name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from indexing.languages import python_lines as lines
from indexing.languages.python_pieces import SPACES
from indexing.languages.rules import is_constant_name

_NAME = r"[A-Z_a-z\x80-\xff][0-9A-Z_a-z\x80-\xff]*+"
_ATTRIBUTE = re.compile(_NAME + r"(?:\." + _NAME + r")+")
_TARGETS = re.compile(_NAME + r"(?:(?:\.|[ \t]*=[ \t]*)" + _NAME + r")*")
#: More of them are looked at by a tree: each is looked at for each sign behind it.
_TARGETS_BYTES = 500
#: The name of what is given to a call: no annotation ends so.
_ARGUMENT = re.compile(r"[,(][ \t]*" + _NAME + r"\Z")
#: The rest of a line that is the last one of its statement and has no lambda in it.
_PLAIN = re.compile(r"(?:(?!lambda\b)[^\\\n])*+(?:\n|\Z)")

#: Where an assignment to several names begins, and the equals sign in front of the one that matters; no beginning where
#: the lines do not tell what it means.
_Chain = tuple[int | None, int]


def separated(source: str) -> str | None:
    """The source, with what is in front of the name that matters as statements of their own, ``a ; B = 1``.

    Everything else is in its place. None where a tree is needed.
    """
    pieces: list[str] = []
    done = 0
    for begin, at in _outside(source, _chains(source)):
        if begin is None:
            return None
        pieces += (source[done:begin], source[begin : at + 1].replace("=", ";"))
        done = at + 1
    return "".join([*pieces, source[done:]]) if done else source


def _chains(source: str) -> Iterator[_Chain]:
    """Those that are not told by the name that they begin with: mostly within strings."""
    for chain in lines.CHAIN.finditer(source):
        at = chain.start()
        begin = source.rfind("\n", 0, at) + 1
        first = source[begin:at].strip(SPACES)
        constant, after_annotation, on_next_line = chain.groups()
        if after_annotation is not None:
            if first.count("[") < first.count("]") and _ARGUMENT.search(first) is None:
                yield None, at
        elif on_next_line is not None:
            if _ATTRIBUTE.fullmatch(first) is None:
                yield None, at
        elif constant is None or not is_constant_name(first):
            is_known = (
                len(first) <= _TARGETS_BYTES
                and _TARGETS.fullmatch(first) is not None
                and not any(is_constant_name(name.strip(SPACES)) for name in first.split("="))
                and (constant is None or _PLAIN.match(source, chain.end()) is not None)
                and not source.endswith(("\\\n", "\\\r\n"), 0, begin)
            )
            yield begin if is_known else None, at


def _outside(source: str, chains: Iterable[_Chain]) -> Iterator[_Chain]:
    """Those of some chains, in their order, that are not within strings and comments."""
    literals, end = None, 0
    for chain in chains:
        at = chain[1]
        literals = literals or lines.literal().finditer(source)
        while end <= at:
            literal = next(literals, None)
            if literal is None or literal.start() > at:
                yield chain
                break
            end = literal.end()
