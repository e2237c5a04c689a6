"""Assignments to several names at once, ``a = B = 1``: those that the lines of a Python file do not tell."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from indexing.languages import python_lines as lines
from indexing.languages.python_pieces import SPACES
from indexing.languages.rules import is_constant_name


def need_tree(source: str) -> bool:
    """Whether there are any outside of strings and comments."""
    return not _are_in_literals(source, _chains(source))


def _chains(source: str) -> Iterator[int]:
    """Where assignments to several names may begin that the lines do not tell: mostly within strings."""
    for chain in lines.CHAIN.finditer(source):
        first = source[source.rfind("\n", 0, chain.start()) + 1 : chain.start()].strip(SPACES)
        if chain[2] is not None:
            is_told = first.count("[") >= first.count("]")
        else:
            is_told = chain[1] is not None and is_constant_name(first)
        if not is_told:
            yield chain.start()


def _are_in_literals(source: str, places: Iterable[int]) -> bool:
    """Whether all of some places, in their order, are within strings and comments."""
    literals, end = None, 0
    for place in places:
        literals = literals or lines.literal().finditer(source)
        while end <= place:
            literal = next(literals, None)
            if literal is None or literal.start() > place:
                return False
            end = literal.end()
    return True
