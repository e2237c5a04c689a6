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
from itertools import pairwise
from typing import Final, cast

#: Brackets inside of brackets that patterns follow: each level makes all of them longer to make. ``simple`` knows more.
_DEPTH: Final = 4


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


def _but(excluded: bytes) -> bytes:
    """Any byte but these, as ranges: a negation would be a step more for each byte."""
    bounds = [-1, *sorted(excluded), 256]
    ranges = [(before + 1, behind - 1) for before, behind in pairwise(bounds) if behind - before > 1]
    return b"[" + b"".join(rb"\x%02x-\x%02x" % each for each in ranges) + b"]"


_WS = rb"[ \t]*+"
_LETTER = rb"[0-9A-Z_a-z\x80-\xff]"
_NAME = rb"[A-Z_a-z\x80-\xff]" + _LETTER + rb"*+"
_CONSTANT = rb"[A-Z][A-Z0-9_]*+(?!" + _LETTER + rb")"
_CONTINUED = rb"\\\r?\n"
_COMMENT = rb"#[^\n]*+"
#: The end of a logical line.
_END = rb"(?:\n|" + _COMMENT + rb"\n|\r\n)"
_GAP = _many(rb"[ \t\r\f]*+" + _maybe(_COMMENT) + rb"\n")


def _string(quote: bytes) -> bytes:
    escaped = _many(rb"\\(?:\r\n|.)" + _but(quote + b"\\\n") + rb"*+")
    tripled = _but(quote + b"\\") + rb"*+" + _many(rb"(?:\\.|Q(?!QQ))" + _but(quote + b"\\") + rb"*+")
    # Most begin with what needs no second look.
    plain = _but(quote + b"\\\n") + rb"++" + escaped
    return (rb"Q(?:" + plain + rb"Q|QQ" + tripled + rb"QQQ|(?!QQ)" + escaped + rb"Q)").replace(rb"Q", quote)


_STRING = _string(b'"') + rb"|" + _string(b"'")
#: What says nothing by itself inside of a bracket, in a statement, in a statement up to a colon.
_IN_BRACKET = _but(b"\"'#()[]{}\\$?!`")
_IN_STATEMENT = _but(b"\"'#()[]{}\\$?!`;\r\n")
_IN_HEAD = _but(b"\"'#()[]{}\\$?!`;\r\n:")


def _between(plain: bytes, others: bytes) -> bytes:
    """Plain bytes, and others between them: half the steps of one repeated choice."""
    return plain + rb"*+" + _many(rb"(?:" + others + rb")" + plain + rb"*+")


def _bracket(depth: int) -> bytes:
    inner = rb"|" + _bracket(depth - 1) if depth else b""
    return (
        rb"[(\[{]"
        + _between(_IN_BRACKET, _STRING + inner + rb"|" + _COMMENT + rb"|" + _CONTINUED + rb"|!=")
        + rb"[)\]}]"
    )


_BRACKET = _bracket(_DEPTH)
_REST = _STRING + rb"|" + _BRACKET + rb"|" + _CONTINUED + rb"|!="
#: No statement begins so.
_ODD = rb"[<>=,:|&^%/;]"
#: The same up to a colon that is in no bracket.
_HEAD = _between(_IN_HEAD, _REST + rb"|:=")
_COMPOUND = rb"(?:if|elif|else|try|except|finally|with|for|while|match|case|async(?![ \t]+def))\b"

#: A type that is longer is looked at by itself: there may be one behind each colon of a line.
_TYPE_BYTES: Final = 100

#: What may begin a line that says something about symbols or imports, or be behind a semicolon or a colon.
_TELLING = (
    rb"(?:def|class|import|from)\b|@|async[ \t]+def\b|type[ \t]+[A-Za-z_\x80-\xff]|"
    + _NAME + _WS + rb"(?::[^=\n]{%d}|(?::[^=\n]*+)?=" % _TYPE_BYTES + _WS + rb"lambda\b)"
)  # fmt: skip


def _always(pattern: bytes) -> Callable[..., re.Match[bytes]]:
    """``match`` of a pattern that matches nothing as well: source, where to begin, where it ends."""
    return cast(Callable[..., re.Match[bytes]], re.compile(pattern, re.DOTALL).match)


#: A string that is a statement of its own.
_DOCSTRING = rb"([rRuUbB]{0,2}+(?:" + _STRING + rb"))" + _WS + rb"[;,#\r\n]"


def _reader(keyword: bytes, telling: bytes) -> Callable[..., re.Match[bytes]]:
    """Ordinary lines, from the beginning of a line; or a definition with those of its body. Up to the first other one.

    The lines are as far indented as the first one, or further. One match tells nearly all of most definitions. Groups:

    1. the name of the definition; this and the next three are of a definition only
    2. nothing, behind the colon
    3. nothing, where the line of the header ends; of a body below it only
    4. nothing, when there is none
    5. the indentation of the first line; this and what follows not behind the header of a body on the same line
    6. its documentation
    7. nothing, where the lines end
    8. the indentation of what follows, behind blank lines and comments
    """
    header = keyword + rb"[ \t]++(" + _NAME + rb")" + _WS + rb"(?=[(\[:])" + _HEAD + rb":()"
    below = rb"(?:" + _WS + _END + rb"()" + _GAP + rb"|())"
    # Behind a semicolon and behind a colon something telling may stand as well: ``if x: import y``.
    more = rb";" + _WS + rb"(?!" + telling + rb"|" + _ODD + rb")|:" + _WS + rb"(?!" + telling + rb")"
    statements = rb"(?!" + telling + rb"|" + _ODD + rb")" + _between(_IN_HEAD, _REST + rb"|" + more)
    lines = _many(_GAP + rb"(?P=indent)" + _WS + statements + _END)
    first = rb"(?=(?P<indent>[ \t]*+)(?:" + _DOCSTRING + rb")?)"
    return _always(
        rb"(?:" + header + below + rb")?(?(4)|" + first + lines + rb"()" + _GAP + rb"([ \t]*+))",
    )


#: Within a function, and of a function: constants are of no interest in it.
in_function: Final = _reader(_maybe(rb"async[ \t]++") + rb"def", _TELLING)
#: Elsewhere, and of a class.
in_class: Final = _reader(rb"class", _TELLING + rb"|" + _CONSTANT + _WS + rb"[:=](?!=)")

#: Blank lines and comments.
gap: Final = _always(_GAP)
#: The same, and in group 1 the indentation behind them.
following: Final = _always(_GAP + rb"([ \t]*+)")
indentation: Final = _always(_WS)
#: The end of a line, and what is between it and the end of a statement. Group 1: there is more behind a semicolon.
AFTER: Final = re.compile(rb";" + _WS + rb"(?=([^#\r\n]))|" + _maybe(rb";" + _WS) + _END)
COMPOUND: Final = re.compile(_COMPOUND)
END: Final = re.compile(_END)
COMMENT: Final = re.compile(_COMMENT)
FOR: Final = re.compile(rb"\bfor\b")
#: From the inside of a bracket to what is first in it.
first: Final = _always(_many(rb"\s++|" + _COMMENT))

#: Group 1: the string.
DOCSTRING: Final = re.compile(_DOCSTRING, re.DOTALL)
#: A line that decorates what is below it. Groups: nothing, where it ends; behind blank lines and comments, the
#: indentation of what follows.
DECORATOR: Final = re.compile(
    rb"@(?!" + _ODD + rb"|[#\r\n])" + _between(_IN_STATEMENT, _REST) + _END + rb"()" + _GAP + rb"([ \t]*+)", re.DOTALL
)
#: Groups: the name; what is assigned, when it is a bracket.
CONSTANT: Final = re.compile(
    rb"(" + _CONSTANT + rb")" + _WS + _maybe(rb":(?!=)[^=\n]*+") + rb"(?:=(?!=)" + _WS + _maybe(rb"([\[({])") + rb")?"
)
#: Groups: the name; the parameters, and the colon when they are simple.
LAMBDA: Final = re.compile(
    rb"(" + _NAME + rb")" + _WS + _maybe(rb":[^=\n]*+") + rb"=" + _WS
    + rb"lambda\b([^:#\\\n()\[\]{}\"']*+" + _maybe(rb"(:" + _WS + rb"(?![\\#]))") + rb")"
)  # fmt: skip
#: Group 1: the name.
TYPE: Final = re.compile(rb"type[ \t]++(?!(?:and|if|in|is|not|or)\b)(" + _NAME + rb")" + _WS)
EQUALS: Final = re.compile(_WS + rb"=(?!=)")
_IMPORT = rb"import[ \t]++(" + _some(rb"[^#;\\\r\n]++|" + _CONTINUED) + rb")"
_IMPORT_FROM = (
    rb"from[ \t]++(\.*+" + _maybe(rb"(?!import\b)[\w\x80-\xff.]++") + rb")" + _many(rb"[ \t]++|" + _CONTINUED)
    + rb"import(?!" + _LETTER + rb")" + _WS + rb"(?:\((" + _many(rb"[^()#]++|" + _COMMENT) + rb")\)" + _WS
    + rb"|(" + _some(rb"[^#;()\\\r\n]++|" + _CONTINUED) + rb"))"
)  # fmt: skip
#: Groups: the modules; or else the module, and names in parentheses, names without.
IMPORT: Final = re.compile(_IMPORT + rb"|" + _IMPORT_FROM)
#: The same on a line of its own. Groups: the statement; its four; nothing, where its line ends; behind blank lines and
#: comments, the indentation of what follows.
IMPORT_LINE: Final = re.compile(rb"(" + _IMPORT + rb"|" + _IMPORT_FROM + rb")" + _END + rb"()" + _GAP + rb"([ \t]*+)")
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


_in_statement: Final = _always(_between(_IN_STATEMENT, _REST))
_NO_STATEMENT: Final = frozenset(b"%c" % byte for byte in b"<>=,:|&^%/;#\r\n") | {b""}
_OPENING: Final = frozenset([b"(", b"[", b"{"])


def simple(source: bytes, at: int) -> int:
    """The end of a simple statement, or of what is left of one; 0 where there is none."""
    # A continued line may be the last one: slices, since there need not be a byte.
    if source[at : at + 1] in _NO_STATEMENT:
        return 0
    end = _in_statement(source, at).end()
    while source[end : end + 1] in _OPENING and (closed := _closed(source, end)):
        end = _in_statement(source, closed).end()
    return end if end > at else 0


def _closed(source: bytes, at: int) -> int:
    """The end of a bracket with any number of others in it; 0 when it has none."""
    depth, at, sign = 1, at + 1, bracket_sign().match
    while (found := sign(source, at)) is not None:
        depth += 1 if found[1] in _OPENING else -1
        at = found.end()
        if depth == 0:
            return at
    return 0


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
def bracket_sign() -> re.Pattern[bytes]:
    """What is in a bracket up to the next sign of one, which is group 1: not of those with few others in them."""
    others = _STRING + rb"|" + _bracket(2) + rb"|" + _COMMENT + rb"|" + _CONTINUED + rb"|!="
    return re.compile(_between(_IN_BRACKET, others) + rb"([()\[\]{}])", re.DOTALL)


@cache
def literal() -> re.Pattern[bytes]:
    """A string or a comment."""
    return re.compile(_STRING + rb"|" + _COMMENT, re.DOTALL)


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
