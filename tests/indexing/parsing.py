"""Sources parsed as a parser process parses them, in this process."""

from __future__ import annotations

from indexing import parser
from indexing.found import Symbol


def symbols_of(language: str, source: str | bytes) -> list[Symbol]:
    """What is found in a source that is not skipped."""
    content = source.encode() if isinstance(source, str) else source
    parsed = parser.parse(language, content, seconds=10, max_symbols=1000)
    assert parsed.skip_reason is None
    return list(parsed.symbols)


#: Name, kind, first line, last line and parent of each symbol.
Definitions = list[tuple[str, str, int, int, str | None]]


def definitions_of(language: str, source: str) -> Definitions:
    """What a source defines, in its order."""
    return [
        (each.name, each.kind, each.first_line, each.last_line, each.parent) for each in symbols_of(language, source)
    ]
