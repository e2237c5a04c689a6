"""What a parser makes of a source whatever its language: bounds, encodings, lines, time."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from indexing import parser
from indexing.found import MAX_NAME, MAX_PARENT
from indexing.wording import MAX_SIGNATURE

from .parsing import symbols_of


@pytest.mark.parametrize("source", [b"x = 1\n" * 100_000, b"x=" * 800_000, b"((" * 800_000])
def test_a_source_that_takes_too_long_is_given_up_and_the_next_one_is_read(source: bytes) -> None:
    def parsed(seconds: float) -> tuple[str | None, float]:
        started = time.thread_time()
        reason = parser.parse("javascript", source, seconds=seconds, max_symbols=1_000_000).skip_reason
        return reason, time.thread_time() - started

    (reason, spent), (_, whole) = parsed(0.01), parsed(60)
    assert reason == "parse_timeout"
    assert spent < whole / 7
    assert [symbol.name for symbol in symbols_of("python", "def f(): pass\n")] == ["f"]


def test_names_parents_and_signatures_are_bounded() -> None:
    name = "n" * 1000
    source = f"class {name}:\n  class {name}:\n    class {name}:\n      def f(a={'x' * 2000}): pass\n"
    last = symbols_of("python", source)[-1]
    assert last.parent is not None
    assert len(last.parent) <= MAX_PARENT
    assert len(last.signature) == MAX_SIGNATURE
    assert {len(symbol.name) for symbol in symbols_of("python", source)} == {MAX_NAME, 1}


@pytest.mark.parametrize(
    "content",
    [
        "\ufeffdef größe(): pass\n".encode(),
        "def größe(): pass\n".encode("utf-16"),
        "def größe(): pass\n".encode("latin-1"),
        "\r\ndef größe(): pass\r\n".encode(),
    ],
)
def test_the_usual_encodings_are_read(content: bytes) -> None:
    assert [symbol.name for symbol in symbols_of("python", content)] == ["größe"]


def test_a_nul_byte_behind_the_beginning_cannot_reach_the_database() -> None:
    source = b"# " + b"x" * 9000 + b"\ndef f(a='\x00'): pass\n"
    for symbol in symbols_of("python", source):
        assert "\x00" not in "".join(filter(None, (symbol.name, symbol.signature, symbol.parent)))


@pytest.mark.parametrize(("content", "lines"), [(b"", 0), (b"x", 1), (b"x\n", 1), (b"x\n\ny", 3)])
def test_lines_are_counted_with_and_without_a_last_line_end(content: bytes, lines: int) -> None:
    assert parser.parse("text", content, seconds=1, max_symbols=1).lines == lines


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
@pytest.mark.parametrize("before", ["", "# ä\n\n"])
@pytest.mark.parametrize("behind", ["", "\n", "\n\n\n", "\nx", "\n# ö\n", "\r\n\r\n"])
@pytest.mark.parametrize(
    ("language", "definition"),
    [("python", "def f():\n    return 'ü'"), ("c", "int f(void) {\n}"), ("ruby", "class A\n  def f\n  end\nend")],
)
def test_lines_in_front_of_the_last_symbol_and_behind_it_are_counted(
    language: str, definition: str, before: str, behind: str, encoding: str
) -> None:
    source = before.replace("#", "//" if language == "c" else "#") + definition + behind
    parsed = parser.parse(language, source.encode(encoding), seconds=10, max_symbols=10)
    assert parsed.symbols
    assert parsed.lines == len(source.splitlines())


def test_own_sources_warm_up_a_parser_and_are_not_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    sources = parser._own_sources()
    assert len(sources) > 40
    assert {parser.parse("python", each, 1.0, parser._OWN_SYMBOLS).skip_reason for each in sources} == {None}
    # When they cannot be read, then there is nothing to see of it.
    monkeypatch.setattr(parser, "_own_sources", lambda: Path("/nowhere").read_bytes())
    parser.warm_up()
