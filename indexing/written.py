"""Rows in COPY's text format: written where they are found, and read back where someone asks what they say."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TypeVar, overload

from indexing.found import Import, Symbol

#: What is no value.
NULL = "\\N"

#: Columns of a symbol, behind its ordinal.
_LAST_LINE = 1 + Symbol._fields.index("last_line")
_END = 1 + Symbol._fields.index("end_byte")

_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_MEANT = {"n": "\n", "t": "\t", "r": "\r"}

_Row = TypeVar("_Row", Symbol, Import)


class Written(Sequence[_Row]):
    """What a file defines or imports, as the rows of it, in their order and each with its ordinal.

    Whoever makes them has no tuple to make of each, and whoever sends them has none to look at.
    """

    def __init__(self, rows: Sequence[str], read: Callable[[str], _Row]) -> None:
        self.rows = rows
        self._read: Callable[[str], _Row] = read

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, at: int) -> _Row: ...
    @overload
    def __getitem__(self, at: slice) -> list[_Row]: ...
    def __getitem__(self, at: int | slice) -> _Row | list[_Row]:
        return [self._read(row) for row in self.rows[at]] if isinstance(at, slice) else self._read(self.rows[at])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]


def written_symbols(rows: Sequence[str]) -> Written[Symbol]:
    """Symbols as their rows."""
    return Written(rows, _symbol)


def written_imports(rows: Sequence[str]) -> Written[Import]:
    """Imports as their rows."""
    return Written(rows, _import)


def last_end(symbols: Sequence[Symbol]) -> tuple[int, int]:
    """Line and byte where the last of some symbols ends, which may be written ones."""
    if isinstance(symbols, Written):
        fields = symbols.rows[-1].split("\t")
        return int(fields[_LAST_LINE]), int(fields[_END])
    return symbols[-1].last_line, symbols[-1].end_byte or 0


def field(value: object) -> str:
    """A text, a number or None in COPY's text format."""
    if type(value) is str:
        # A table for str.translate takes five times as long for the short texts that these are.
        return value.replace("\\", "\\\\").replace("\n", "\\n").replace("\t", "\\t").replace("\r", "\\r")
    return NULL if value is None else str(value)


def _meant(text: str) -> str:
    return _ESCAPE.sub(lambda found: _MEANT.get(found[1], found[1]), text) if "\\" in text else text


def _text(text: str) -> str | None:
    return None if text == NULL else _meant(text)


def _number(text: str) -> int | None:
    return None if text == NULL else int(text)


def _symbol(row: str) -> Symbol:
    _ordinal, name, kind, line, last_line, signature, parent, column, last_column, start, end, doc, exported = (
        row.split("\t")
    )
    return Symbol(
        _meant(name),
        kind,
        int(line),
        int(last_line),
        _meant(signature),
        _text(parent),
        int(column),
        int(last_column),
        _number(start),
        _number(end),
        _text(doc),
        None if exported == NULL else exported == "True",
    )


def _import(row: str) -> Import:
    _ordinal, line, target, module, up = row.split("\t")
    return Import(int(line), _meant(target), _text(module), _number(up))
