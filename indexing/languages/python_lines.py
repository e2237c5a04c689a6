"""Patterns of Python's lexical structure, for ``python_scanner``: each consumes what it matches and never goes back.

A pattern that does not match means that the source is not what these patterns know: nothing here repairs anything.
Nothing is tried twice, so the time is linear in the source whatever is in it: possessive quantifiers behind single
characters, and behind groups where this Python has them right.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from functools import cache
from typing import Final, cast

#: Brackets inside of brackets that are followed; what is deeper is not known here.
_DEPTH: Final = 6


#: Python before 3.11.5 matches groups with possessive quantifiers wrongly. Atomic groups mean the same and take an
#: eighth more of the time.
_IS_POSSESSIVE: Final = sys.version_info >= (3, 11, 5)


def _repeated(pattern: bytes, how: bytes) -> bytes:
    group = rb"(?:" + pattern + rb")" + how
    return group + rb"+" if _IS_POSSESSIVE else rb"(?>" + group + rb")"


def _many(pattern: bytes) -> bytes:
    return _repeated(pattern, rb"*")


def _some(pattern: bytes) -> bytes:
    return _repeated(pattern, rb"+")


def _maybe(pattern: bytes) -> bytes:
    return _repeated(pattern, rb"?")


_WS = rb"[ \t]*+"
_NAME = rb"[A-Za-z_\x80-\xff][\w\x80-\xff]*+"
_CONSTANT = rb"[A-Z][A-Z0-9_]*+(?![\w\x80-\xff])"
_CONTINUED = rb"\\\r?\n"
_COMMENT = rb"#[^\n]*+"
#: The end of a logical line.
_END = _maybe(_COMMENT + rb"|\r") + rb"\n"
_GAP = _many(rb"[ \t\r\f]*+" + _maybe(_COMMENT) + rb"\n")


def _string(quote: bytes) -> bytes:
    tripled = quote * 3 + rb"[^Q\\]*+" + _many(rb"(?:\\.|Q(?!QQ))[^Q\\]*+") + quote * 3
    single = rb"Q(?!QQ)[^Q\\\n]*+" + _many(rb"\\(?:\r\n|.)[^Q\\\n]*+") + rb"Q"
    return (tripled + rb"|" + single).replace(rb"Q", quote)


_STRING = _string(b'"') + rb"|" + _string(b"'")


def _bracket(depth: int) -> bytes:
    inner = rb"|" + _bracket(depth - 1) if depth else b""
    parts = rb"[^\"'#()\[\]{}\\$?!`]++|" + _STRING + rb"|" + _COMMENT + rb"|" + _CONTINUED + rb"|!=" + inner
    return rb"[(\[{]" + _many(parts) + rb"[)\]}]"


_BRACKET = _bracket(_DEPTH)
_REST = _STRING + rb"|" + _BRACKET + rb"|" + _CONTINUED + rb"|!="
#: A simple statement, or what is left of one.
_SIMPLE = rb"(?![<>=,:|&^%/])" + _some(rb"[^\"'#()\[\]{}\\$?!`;\r\n]++|" + _REST)
#: The same up to a colon that is in no bracket.
_HEAD = _many(rb"[^\"'#()\[\]{}\\$?!`;\r\n:]++|:=|" + _REST)
_COMPOUND = rb"(?:if|elif|else|try|except|finally|with|for|while|match|case|async(?![ \t]+def))\b"

#: What may begin a line that says something about symbols or imports.
_TELLING = (
    rb"(?:def|class|import|from)\b|@|async[ \t]+def\b|type[ \t]+[A-Za-z_\x80-\xff]|"
    + _NAME + _WS + rb"(?::[^=\n]*+)?=" + _WS + rb"lambda\b"
)  # fmt: skip


def _always(pattern: bytes) -> Callable[..., re.Match[bytes]]:
    """``match`` of a pattern that matches nothing as well: source, where to begin, where it ends."""
    return cast(Callable[..., re.Match[bytes]], re.compile(pattern, re.DOTALL).match)


def _lines(telling: bytes) -> bytes:
    """Lines as far indented as the group ``indent`` says, or further, up to the first that is telling."""
    statements = _many(rb"(?!" + telling + rb")" + _SIMPLE + _maybe(rb";" + _WS))
    head = rb"(?:(?!" + _COMPOUND + rb")|" + _COMPOUND + _HEAD + _maybe(rb":" + _WS) + rb")"
    return _many(rb"(?>" + _GAP + rb"(?P=indent)" + _WS + head + statements + _END + rb")")


def _block(telling: bytes) -> Callable[..., re.Match[bytes]]:
    """Such lines, from the beginning of the first."""
    return _always(rb"(?=(?P<indent>[ \t]*+))" + _lines(telling))


def _definition(keyword: bytes, telling: bytes) -> re.Pattern[bytes]:
    """A definition with the lines of its body up to the first that is telling, and the gap behind them.

    One match tells nearly all of most definitions. Groups: the name; nothing, behind the colon; where there is a body
    below: nothing, where the header's line ends; the indentation of the body's first line; its documentation; nothing,
    where the lines end; the indentation of what follows.
    """
    body = (
        _WS + _END + rb"()" + _GAP + rb"(?=(?P<indent>[ \t]*+)(?:" + _DOCSTRING + rb")?)"
        + _lines(telling) + rb"()" + _GAP + rb"([ \t]*+)"
    )  # fmt: skip
    header = keyword + rb"[ \t]++(" + _NAME + rb")" + _WS + rb"(?=[(\[:])" + _HEAD + rb":()"
    return re.compile(header + rb"(?:" + body + rb")?", re.DOTALL)


#: In a function, constants are of no interest.
_TELLING_OUTSIDE = _TELLING + rb"|" + _CONSTANT + _WS + rb"[:=](?!=)"
#: A string that is a statement of its own.
_DOCSTRING = rb"([rRuUbB]{0,2}+(?:" + _STRING + rb"))" + _WS + rb"[;,#\r\n]"

function_lines: Final = _block(_TELLING)
other_lines: Final = _block(_TELLING_OUTSIDE)
FUNCTION: Final = _definition(_maybe(rb"async[ \t]++") + rb"def", _TELLING)
CLASS: Final = _definition(rb"class", _TELLING_OUTSIDE)

#: Blank lines and comments.
gap: Final = _always(_GAP)
indentation: Final = _always(_WS)
#: The end of a line, and what is between it and the end of a statement. Group 1: there is more behind a semicolon.
AFTER: Final = re.compile(rb";" + _WS + rb"(?=([^#\r\n]))|" + _maybe(rb";" + _WS) + _END)
SIMPLE: Final = re.compile(_SIMPLE, re.DOTALL)
COMPOUND: Final = re.compile(_COMPOUND)
END: Final = re.compile(_END)
COMMENT: Final = re.compile(_COMMENT)
FOR: Final = re.compile(rb"\bfor\b")
#: From the inside of a bracket to what is first in it.
first: Final = _always(_many(rb"\s++|" + _COMMENT))

#: Group 1: the string.
DOCSTRING: Final = re.compile(_DOCSTRING, re.DOTALL)
#: Groups: the name; what is assigned, when it is a bracket.
CONSTANT: Final = re.compile(
    rb"(" + _CONSTANT + rb")" + _WS + _maybe(rb":(?!=)[^=\n]*+") + rb"(?:=(?!=)" + _WS + _maybe(rb"([\[({])") + rb")?"
)
#: Groups: the name; the parameters, and the colon when they are simple.
LAMBDA: Final = re.compile(
    rb"(" + _NAME + rb")" + _WS + _maybe(rb":[^=\n]*+") + rb"=" + _WS
    + rb"lambda\b([^:#\\\n()\[\]{}\"']*+" + _maybe(rb"(:" + _WS + rb"(?![\\#]))") + rb")"
)  # fmt: skip
#: Groups: the modules.
IMPORT: Final = re.compile(rb"import[ \t]++(" + _some(rb"[^#;\\\r\n]++|" + _CONTINUED) + rb")")
#: Groups: the module; names in parentheses, names without.
IMPORT_FROM: Final = re.compile(
    rb"from[ \t]++(\.*+" + _maybe(rb"(?!import\b)[\w\x80-\xff.]++") + rb")" + _many(rb"[ \t]++|" + _CONTINUED)
    + rb"import(?![\w\x80-\xff])" + _WS + rb"(?:\((" + _many(rb"[^()#]++|" + _COMMENT) + rb")\)" + _WS
    + rb"|(" + _some(rb"[^#;()\\\r\n]++|" + _CONTINUED) + rb"))"
)  # fmt: skip
#: A name, with its path where it is a module, and what it is called here.
IMPORTED: Final = re.compile(
    rb"\s*+((?:"
    + _NAME
    + rb")"
    + _many(rb"\.(?:" + _NAME + rb")")
    + rb"|\*)"
    + _maybe(rb"\s++as\s++" + _NAME)
    + rb"\s*+"
)


# Those that few files need, each of which takes milliseconds to make.


@cache
def inline() -> re.Pattern[bytes]:
    """A compound statement up to what stands on the same line behind its colon."""
    return re.compile(_COMPOUND + _HEAD + rb":" + _WS, re.DOTALL)


@cache
def bracket() -> re.Pattern[bytes]:
    """A bracket with all in it."""
    return re.compile(_BRACKET, re.DOTALL)


@cache
def nested() -> re.Pattern[bytes]:
    """What is inside of a bracket and not a part of its own expression."""
    return re.compile(_STRING + rb"|" + _COMMENT + rb"|" + _bracket(_DEPTH - 1), re.DOTALL)


#: A line that ends in the way of old.
RETURN: Final = re.compile(rb"\r(?!\n)")
#: Assignments to several names of which one is telling, or with the telling word on a line of its own. Groups: one that
#: does not matter behind another constant; one that matters only where an annotation goes over lines.
CHAIN: Final = re.compile(
    # One way to begin, so that the search goes from one to the next without a look at what is between.
    rb"=[ \t]*+(?:(" + _CONSTANT + rb"[ \t]*+=(?!=))|(lambda\b)|" + _NAME + rb"[ \t]*+=[ \t]*+lambda|"
    rb"\\\r?\n\s*+lambda)"
)
