"""Patterns of Python's lexical structure, for ``python_scanner``: each consumes what it matches and never goes back.

A pattern that does not match means that the source is not what these patterns know: nothing here repairs anything.
Of sources as ``python_pieces`` has them.
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


def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.DOTALL | re.ASCII)


def _repeated(pattern: str, how: str) -> str:
    group = r"(?:" + pattern + r")" + how
    return group + r"+" if _IS_POSSESSIVE else r"(?>" + group + r")"


def _many(pattern: str) -> str:
    return _repeated(pattern, r"*")


def _some(pattern: str) -> str:
    return _repeated(pattern, r"+")


def _maybe(pattern: str) -> str:
    return _repeated(pattern, r"?")


def _but(excluded: str) -> str:
    """Any byte but these, as ranges: a negation would be a step more for each byte."""
    bounds = [-1, *sorted(map(ord, excluded)), 256]
    ranges = [(before + 1, behind - 1) for before, behind in pairwise(bounds) if behind - before > 1]
    return "[" + "".join(rf"\x{first:02x}-\x{last:02x}" for first, last in ranges) + "]"


_WS = r"[ \t]*+"
_LETTER = r"[0-9A-Z_a-z\x80-\xff]"
_NAME = r"[A-Z_a-z\x80-\xff]" + _LETTER + r"*+"
_CONSTANT = r"[A-Z][A-Z0-9_]*+(?!" + _LETTER + r")"
_CONTINUED = r"\\\r?\n"
_COMMENT = r"#[^\n]*+"
#: The end of a logical line.
_END = r"(?:\n|" + _COMMENT + r"\n|\r\n)"
_GAP = _many(r"[ \t\r\f]*+(?:\n|" + _COMMENT + r"\n)")


def _string(quote: str) -> str:
    escaped = _many(r"\\(?:\r\n|.)" + _but(quote + "\\\n") + r"*+")
    tripled = _but(quote + "\\") + r"*+" + _many(r"(?:\\.|Q(?!QQ))" + _but(quote + "\\") + r"*+")
    # Most begin with what needs no second look.
    plain = _but(quote + "\\\n") + r"++" + escaped
    return (r"Q(?:" + plain + r"Q|QQ" + tripled + r"QQQ|(?!QQ)" + escaped + r"Q)").replace(r"Q", quote)


_STRING = _string('"') + r"|" + _string("'")
#: What says nothing by itself inside of a bracket, in a statement, in a statement up to a colon.
_IN_BRACKET = _but("\"'#()[]{}\\$?!`")
_IN_STATEMENT = _but("\"'#()[]{}\\$?!`;\r\n")
_IN_HEAD = _but("\"'#()[]{}\\$?!`;\r\n:")


def _between(plain: str, others: str) -> str:
    """Plain bytes, and others between them: half the steps of one repeated choice."""
    return plain + r"*+" + _many(r"(?:" + others + r")" + plain + r"*+")


def _bracket(depth: int) -> str:
    inner = r"|" + _bracket(depth - 1) if depth else ""
    return r"[(\[{]" + _between(_IN_BRACKET, _STRING + inner + r"|" + _COMMENT + r"|" + _CONTINUED + r"|!=") + r"[)\]}]"


_BRACKET = _bracket(_DEPTH)
_REST = _STRING + r"|" + _BRACKET + r"|" + _CONTINUED + r"|!="
#: No statement begins so.
_ODD = r"[<>=,:|&^%/;]"
#: The same up to a colon that is in no bracket.
_HEAD = _between(_IN_HEAD, _REST + r"|:=")
_COMPOUND = r"(?:if|elif|else|try|except|finally|with|for|while|match|case|async(?![ \t]+def))\b"

#: A type that is longer is looked at by itself: there may be one behind each colon of a line.
_TYPE_BYTES: Final = 100

#: What may begin a line that says something about symbols or imports, or be behind a semicolon or a colon.
_TELLING = (
    # As many ways to begin with a letter of their own as possible: those of other letters cost next to nothing.
    r"def\b|class\b|import\b|from\b|@|async[ \t]+def\b|type[ \t]+[A-Za-z_\x80-\xff]|"
    + _NAME + _WS + rf"(?:={_WS}lambda\b|:(?:[^=\n]{{{_TYPE_BYTES}}}|[^=\n]*+={_WS}lambda\b))"
)  # fmt: skip


def _always(pattern: str) -> Callable[..., re.Match[str]]:
    """``match`` of a pattern that matches nothing as well: source, where to begin, where it ends."""
    return cast(Callable[..., re.Match[str]], _compiled(pattern).match)


#: A string that is a statement of its own.
_DOCSTRING = r"([rRuUbBfF]{0,2}+(?:" + _STRING + r"))" + _WS + r"[;,#\r\n]"


def _reader(keyword: str, telling: str) -> Callable[..., re.Match[str]]:
    """Ordinary lines, from the beginning of a line; or a definition with those of its body. Up to the first other one.

    The lines are as far indented as the first one, or further. One match tells nearly all of most definitions. Groups:

    1. the header of the definition up to its colon; this and the next three are of a definition only
    2. its name
    3. nothing, where the line of the header ends; of a body below it only
    4. nothing, when there is none
    5. the indentation of the first line; this and what follows not behind the header of a body on the same line
    6. its documentation
    7. nothing, where the lines end
    8. the indentation of what follows, behind blank lines and comments
    """
    header = r"(" + keyword + r"[ \t]++(" + _NAME + r")" + _WS + r"(?=[(\[:])" + _HEAD + r"):"
    below = r"(?:" + _WS + _END + r"()" + _GAP + r"|())"
    # Behind a semicolon and behind a colon something telling may stand as well: ``if x: import y``.
    more = r";" + _WS + r"(?!" + telling + r"|" + _ODD + r")|:" + _WS + r"(?!" + telling + r")"
    statements = r"(?!" + telling + r"|" + _ODD + r")" + _between(_IN_HEAD, _REST + r"|" + more)
    lines = _many(_GAP + r"(?P=indent)" + _WS + statements + _END)
    first = r"(?=(?P<indent>[ \t]*+)(?:" + _DOCSTRING + r"|))"
    return _always(
        r"(?:" + header + below + r")?(?(4)|" + first + lines + r"()" + _GAP + r"([ \t]*+))",
    )


#: Within a function, and of a function: constants are of no interest in it.
in_function: Final = _reader(_maybe(r"async[ \t]++") + r"def", _TELLING)
#: Elsewhere, and of a class.
in_class: Final = _reader(r"class", _TELLING + r"|" + _CONSTANT + _WS + r"[:=](?!=)")

#: Blank lines and comments.
gap: Final = _always(_GAP)
#: The same, and in group 1 the indentation behind them.
following: Final = _always(_GAP + r"([ \t]*+)")
indentation: Final = _always(_WS)
#: The end of a line, and what is between it and the end of a statement. Group 1: there is more behind a semicolon.
AFTER: Final = _compiled(r";" + _WS + r"(?=([^#\r\n]))|" + _maybe(r";" + _WS) + _END)
COMPOUND: Final = _compiled(_COMPOUND)
END: Final = _compiled(_END)
COMMENT: Final = _compiled(_COMMENT)
FOR: Final = _compiled(r"\bfor\b")
#: From the inside of a bracket to what is first in it.
first: Final = _always(_many(r"\s++|" + _COMMENT))

#: Group 1: the string.
DOCSTRING: Final = _compiled(_DOCSTRING)
#: A line that decorates what is below it. Groups: nothing, where it ends; behind blank lines and comments, the
#: indentation of what follows.
DECORATOR: Final = _compiled(
    r"@(?!" + _ODD + r"|[#\r\n])" + _between(_IN_STATEMENT, _REST) + _END + r"()" + _GAP + r"([ \t]*+)"
)
_ASSIGNED = r"=(?!=)" + _WS + _maybe(r"([\[({])")
#: Groups: the name; what is assigned, when it is a bracket.
CONSTANT: Final = _compiled(r"(" + _CONSTANT + r")" + _WS + r"(?=[:=](?!=))" + _maybe(r":[^=\n]*+") + _maybe(_ASSIGNED))
#: Group 1: the name. Up to its parameters.
LAMBDA: Final = _compiled(r"(" + _NAME + r")" + _WS + _maybe(r":[^=\n]*+") + r"=" + _WS + r"lambda\b")
#: Group 1: the name.
TYPE: Final = _compiled(r"type[ \t]++(?!(?:and|if|in|is|not|or)\b)(" + _NAME + r")" + _WS)
EQUALS: Final = _compiled(_WS + r"=(?!=)")
_IMPORT = r"import[ \t]++(" + _some(r"[^#;\\\r\n]++|" + _CONTINUED) + r")"
_IMPORT_FROM = (
    r"from[ \t]++(\.*+" + _maybe(r"(?!import\b)[\w\x80-\xff.]++") + r")" + _many(r"[ \t]++|" + _CONTINUED)
    + r"import(?!" + _LETTER + r")" + _WS + r"(?:\((" + _many(r"[^()#]++|" + _COMMENT) + r")\)" + _WS
    + r"|(" + _some(r"[^#;()\\\r\n]++|" + _CONTINUED) + r"))"
)  # fmt: skip
#: Groups: the modules; or else the module, and names in parentheses, names without.
IMPORT: Final = _compiled(_IMPORT + r"|" + _IMPORT_FROM)
#: The same on a line of its own. Groups: the statement; its four; nothing, where its line ends; behind blank lines and
#: comments, the indentation of what follows.
IMPORT_LINE: Final = _compiled(r"(" + _IMPORT + r"|" + _IMPORT_FROM + r")" + _END + r"()" + _GAP + r"([ \t]*+)")
#: A name, with its path where it is a module, and what it is called here.
IMPORTED: Final = _compiled(
    r"\s*+((?:" + _NAME + r")" + _many(r"\.(?:" + _NAME + r")") + r"|\*)" + _maybe(r"\s++as\s++" + _NAME) + r"\s*+"
)


_in_statement: Final = _always(_between(_IN_STATEMENT, _REST))
_NO_STATEMENT: Final = frozenset("<>=,:|&^%/;#\r\n") | {""}
_OPENING: Final = frozenset(["(", "[", "{"])


def simple(source: str, at: int) -> int:
    """The end of a simple statement, or of what is left of one; 0 where there is none."""
    # A continued line may be the last one: slices, since there need not be a byte.
    if source[at : at + 1] in _NO_STATEMENT:
        return 0
    end = _in_statement(source, at).end()
    while source[end : end + 1] in _OPENING and (closed := _closed(source, end)):
        end = _in_statement(source, closed).end()
    return end if end > at else 0


def _closed(source: str, at: int, own: list[str] | None = None) -> int:
    """The end of a bracket with any number of others in it, 0 when it has none; what is in no other goes to ``own``."""
    depth, at, sign = 1, at + 1, bracket_sign().match
    while (found := sign(source, at)) is not None:
        if depth == 1 and own is not None:
            own.append(source[at : found.start(1)])
        depth += 1 if found[1] in _OPENING else -1
        at = found.end()
        if depth == 0:
            return at
    return 0


def own(source: str, at: int) -> tuple[str, int]:
    """What is in a bracket and in nothing else in it; the end of the bracket, 0 when it has none."""
    pieces: list[str] = []
    end = _closed(source, at, pieces)
    return nested().sub("", " ".join(pieces)), end


# Those that few files need, each of which takes milliseconds to make.


@cache
def inline() -> re.Pattern[str]:
    """A compound statement up to what stands on the same line behind its colon."""
    return _compiled(_COMPOUND + _HEAD + r":" + _WS)


@cache
def bracket() -> re.Pattern[str]:
    """A bracket with all in it."""
    return _compiled(_BRACKET)


@cache
def bracket_sign() -> re.Pattern[str]:
    """What is in a bracket up to the next sign of one, which is group 1: not of those with few others in them."""
    others = _STRING + r"|" + _bracket(2) + r"|" + _COMMENT + r"|" + _CONTINUED + r"|!="
    return _compiled(_between(_IN_BRACKET, others) + r"([()\[\]{}])")


@cache
def literal() -> re.Pattern[str]:
    """A string or a comment."""
    return _compiled(_STRING + r"|" + _COMMENT)


@cache
def nested() -> re.Pattern[str]:
    """What is inside of a bracket and not a part of its own expression."""
    return _compiled(_STRING + r"|" + _COMMENT + r"|" + _bracket(_DEPTH - 1))


@cache
def parameters() -> re.Pattern[str]:
    """Those of a lambda: up to the next colon or lambda, which is group 1, and what is behind it."""
    plain = r"(?!lambda\b)" + _NAME + r"|[ \t0-9%&*+,\-./<=>@^|~]++|!="
    return _compiled(
        _many(plain + r"|" + _STRING + r"|" + _bracket(2)) + r"(lambda\b|:)" + _many(r"[ \t]|" + _CONTINUED)
    )


#: A line that ends in the way of old.
RETURN: Final = _compiled(r"\r(?!\n)")
#: Assignments to several names of which one is telling, or with the telling word on a line of its own. Groups, of which
#: each is nothing: behind one that does not matter behind another constant; one that matters only where an annotation
#: goes over lines; one that does not matter where what is assigned to is no name.
CHAIN: Final = _compiled(
    # One way to begin, so that the search goes from one to the next without a look at what is between. Each way to go
    # on begins with a sign of its own.
    r"=[ \t]*+(?:" + _CONSTANT + r"[ \t]*+=(?!=)()|lambda\b()|" + _NAME + r"[ \t]*+=[ \t]*+lambda|"
    r"\\\r?\n\s*+lambda())"
)
