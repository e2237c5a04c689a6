"""What a parser answers: the same in the parent as it was, or refused."""

from __future__ import annotations

import pytest

from indexing import frames
from indexing.found import Import, Symbol
from indexing.frames import Parsed, Rows

_PLAIN = Symbol("f", "function", 1, 2, "def f(x)", "A", 3, 4, 5, 6, "Says\nit.", True)
_ODD = Symbol("operator\t\n", "function", 1, 2, 'def f(x="\\n")', "A\\B", 3, 4, None, None, None, None)


def _answer(*symbols: Symbol, imports: tuple[Import, ...] = ()) -> bytes:
    frame = bytearray(frames.encode_parsed(Parsed(7, None, symbols, imports)))
    body = frames.unpack(frame)
    assert body is not None
    return body


def _fields(row: str) -> list[str]:
    return row.split("\t")


def test_rows_are_in_the_format_of_copy_whether_they_need_escapes_or_not() -> None:
    imports = (Import(1, "a.b", "/a/b", None), Import(2, "x\\y"), Import(3, ".c", "/c", 0))
    rows = frames.decode_parsed(_answer(_PLAIN, _ODD, imports=imports))
    assert (rows.lines, rows.skip_reason, rows.symbol_count) == (7, None, 2)
    plain, odd = map(_fields, rows.symbols.decode().split("\n"))
    assert plain == ["0", "f", "function", "1", "2", "def f(x)", "A", "3", "4", "5", "6", "Says\\nit.", "True"]
    assert odd[:7] == ["1", "operator\\t\\n", "function", "1", "2", 'def f(x="\\\\n")', "A\\\\B"]
    assert odd[7:] == ["3", "4", "\\N", "\\N", "\\N", "\\N"]
    assert [_fields(row) for row in rows.imports.decode().split("\n")] == [
        ["0", "1", "a.b", "/a/b", "\\N"],
        ["1", "2", "x\\\\y", "\\N", "\\N"],
        ["2", "3", ".c", "/c", "0"],
    ]


def test_a_file_without_anything_in_it_has_no_rows() -> None:
    assert frames.decode_parsed(_answer()) == Rows(7, None)
    skipped = frames.unpack(bytearray(frames.encode_parsed(Parsed(None, "binary", ()))))
    assert frames.decode_parsed(skipped or b"") == Rows(None, "binary")


@pytest.mark.parametrize(
    ("there", "instead"),
    [
        (b"def f(x)\tA", b"def f(x)\t\tA"),
        (b"def f(x)\tA", b"def f(x)A"),
        (b"def f(x)\tA", b"def f(x)\nA"),
        # As many tabs in all as there are to be.
        (b"\tTrue\n", b"True\n\t"),
        (b"\ta\t", b"\ta\n\t"),
        (b"7\t\\N\t2\t", b"7\t\\N\t1\t"),
        (b"7\t\\N\t2\t", b"7\t\\N\t-1\t"),
        (b"7\t\\N\t2\t", b"7\t\\N\t999999999999\t"),
        (b"7\t\\N\t2\t", b"7\t\\N\t[]\t"),
        (b"7\t\\N\t2\t", b"\\N\t2\t"),
        (b"7\t\\N\t2\t", b"many\t\\N\t2\t"),
        (b"\t1\n0", b"\t0\n0"),
        (b"def f(x)", b"def f(\xff)"),
    ],
)
def test_an_answer_whose_rows_are_not_as_many_or_not_as_wide_as_it_says_is_refused(
    there: bytes, instead: bytes
) -> None:
    body = _answer(_PLAIN, _PLAIN, imports=(Import(1, "a"),))
    assert frames.decode_parsed(body).symbol_count == 2
    assert there in body
    with pytest.raises(ValueError, match="expected an answer of a parser"):
        frames.decode_parsed(body.replace(there, instead, 1))
