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


def _lines(telling: bytes) -> Callable[..., re.Match[bytes]]:
    """Lines as far indented as the first one, or further, up to the first that is telling."""
    statements = _many(rb"(?!" + telling + rb")" + _SIMPLE + _maybe(rb";" + _WS))
    head = rb"(?:(?!" + _COMPOUND + rb")|" + _COMPOUND + _HEAD + _maybe(rb":" + _WS) + rb")"
    return _always(rb"(?=([ \t]*+))" + _many(rb"(?>" + _GAP + rb"\1" + _WS + head + statements + _END + rb")"))


#: Group 1: their indentation. In a function, constants are of no interest.
function_lines: Final = _lines(_TELLING)
other_lines: Final = _lines(_TELLING + rb"|" + _CONSTANT + _WS + rb"[:=](?!=)")

#: Blank lines and comments.
gap: Final = _always(_GAP)
indentation: Final = _always(_WS)
#: The end of a line, and what is between it and the end of a statement. Group 1: there is more behind a semicolon.
AFTER: Final = re.compile(rb";" + _WS + rb"(?=([^#\r\n]))|" + _maybe(rb";" + _WS) + _END)
SIMPLE: Final = re.compile(_SIMPLE, re.DOTALL)
COMPOUND: Final = re.compile(_COMPOUND)
END: Final = re.compile(_END)
#: Behind a header: nothing more on its line.
HEADER_END: Final = re.compile(_WS + _END)
COMMENT: Final = re.compile(_COMMENT)
FOR: Final = re.compile(rb"\bfor\b")
#: From the inside of a bracket to what is first in it.
first: Final = _always(_many(rb"\s++|" + _COMMENT))

#: Groups: ``def``, when it is no class; the name. Up to the colon.
HEADER: Final = re.compile(
    rb"(?:"
    + _maybe(rb"async[ \t]++")
    + rb"(def)|class)[ \t]++("
    + _NAME
    + rb")"
    + _WS
    + rb"(?=[(\[:])"
    + _HEAD
    + rb":",
    re.DOTALL,
)
#: Group 1: the string, when it is a statement of its own.
DOCSTRING: Final = re.compile(rb"([rRuUbB]{0,2}+(?:" + _STRING + rb"))" + _WS + rb"[;,#\r\n]", re.DOTALL)
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
