"""What a compiler's parser never sees of C and C++: macros, and conditions in the middle of a declaration.

A grammar without a preprocessor takes ``class EXPORT Name : Base {`` for a variable, and a brace that each branch of an
``#ifdef`` opens for two of them; whatever follows is lost. A source that did not parse is mended by blanks in the place
of what is in the way, so that everything else stays where it is.

All patterns are bounded or possessive: a source is read in time that grows with its length, whatever is in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Final, NamedTuple

#: How deep conditions are looked at; each is as long as all within it, and a source can open one on every line.
_MAX_NESTED: Final = 30

#: Comments and literals, up to the end of the source where they do not end.
_NO_CODE: Final = re.compile(
    rb"//[^\n]*+|/\*.*?(?:\*/|\Z)"
    rb'|R"([^()\\\s"]{0,16})\(.*?(?:\)\1"|\Z)'
    rb'|"(?:\\.|[^"\\\n])*+"?'
    rb"|'(?:\\[^\n][^'\n]{0,8}|[^'\\\n]{1,4})'",
    re.DOTALL,
)
_NOT_BLANK: Final = re.compile(rb"[^\s]")
_DIRECTIVE: Final = re.compile(rb"^[ \t]*+#[ \t]*+(\w*+)((?:\\\r?\n|[^\n])*+)", re.MULTILINE)
_BRACE: Final = re.compile(rb"[{}]")

#: A macro by its name, with its arguments; several; a name; the arguments of a template, of a function.
_MACRO: Final = rb"\b[A-Z_][A-Z0-9_]++\b(?:\s*+\((?:[^(){};]|\([^(){};]*+\))*+\))?"
_MACROS: Final = _MACRO + rb"(?:\s+" + _MACRO + rb"){0,3}"
_NAME: Final = rb"~?[A-Za-z_][\w:~]*+"
_TYPE_ARGUMENTS: Final = rb"(?:<[^;{}()]{0,200}>)?"
_ARGUMENTS: Final = rb"\((?:[^(){};]|\([^(){};]*+\))*+\)"

#: ``class EXPORT Name FINAL : Base {``
_CLASS: Final = re.compile(
    rb"\b(?:class|struct|union|enum)\b(?P<before>(?:\s+"
    + _MACRO
    + rb"|\s*\[\[[^\[\]]*+\]\]){0,4})\s+(?!final\b)[A-Za-z_][\w:]*+"
    + _TYPE_ARGUMENTS
    + rb"(?P<behind>(?:\s+"
    + _MACRO
    + rb"){0,4})\s*(?:final\s*)?[:{]"
)
#: One of those is read without an error, as a function or a variable.
_EXPORTED_CLASS: Final = re.compile(
    rb"\b(?:class|struct|union)\s+[A-Z_][A-Z0-9_]++\s+[A-Za-z_]\w*+\s*(?:final\s*)?[:{]"
)
#: ``EXPORT const char *name(``, ``INLINE static``, ``CONSTEXPR Name(int) : field(0) {``: behind it is a declaration.
_IN_FRONT: Final = re.compile(
    _MACROS
    + rb"(?=\s+(?:(?:(?:::)?[A-Za-z_][\w:]*+"
    + _TYPE_ARGUMENTS
    + rb"[\s*&]+){1,6}(?:"
    + _NAME
    + rb"|operator[^\w\s(]{1,3})\s*\("
    + rb"|(?:static|inline|virtual|explicit|extern|template|typedef|struct|class|enum|union)\b"
    + rb"|[A-Za-z_][\w:]*+\s*"
    + _ARGUMENTS
    + rb"\s*(?:noexcept\s*)?:(?!:)))"
)
#: ``int NOTHROW name(``: what is in front of it is a type.
_BETWEEN: Final = re.compile(rb"(?P<before>\b\w++|[*&>])\s+(?P<macro>" + _MACROS + rb")(?=\s+" + _NAME + rb"\s*\()")
_NO_TYPE: Final = frozenset(
    b"static inline extern const constexpr virtual explicit friend return else new case".split()
)
#: ``name() EXCLUDES(lock) {``
_BEHIND: Final = re.compile(
    rb"\)(?:\s*(?:const|noexcept|override)\b)*+(?P<macro>(?:\s*" + _MACRO + rb"){1,4})(?=\s*(?:override\b|final\b|\{))"
)
#: ``name(int parameter UNUSED)``
_PARAMETER: Final = re.compile(rb"(?P<before>\b\w++)\s+(?P<macro>" + _MACRO + rb")(?=\s*[,)])")
_NO_PARAMETER: Final = _NO_TYPE | frozenset(b"struct union enum class typename unsigned signed volatile sizeof".split())
#: ``BEGIN_NAMESPACE`` on a line of its own, and what shows that it is part of what follows: a type of it, say.
_LINE: Final = re.compile(rb"^[ \t]*+(?P<macro>" + _MACRO + rb")[ \t]*+\r?$", re.MULTILINE)
_GOES_ON: Final = re.compile(rb"\s*+[({=,;.+*/&|<>?-]")
_IS_TYPE: Final = re.compile(rb"\s*+(?!(?:if|for|while|switch|[A-Z_][A-Z0-9_]+)\b)" + _NAME + rb"\s*\(")

#: Conditions that never hold, anywhere and in C.
_NOWHERE: Final = re.compile(rb"\s*#\s*if\s+0\s*$")
_NOT_IN_C: Final = re.compile(rb"\s*#\s*if\s+0\s*$|\s*#\s*if(?:def\s+|\s+defined\W+)__cplusplus\b")

#: What may stand in front of a declaration or statement; nothing does at the beginning and behind a directive.
_ENDS: Final = frozenset({b"", b";", b"{", b"}", b":"})


class _Directive(NamedTuple):
    word: bytes
    start: int
    end: int
    #: The last character of code in front of it, b"" when that is another directive, or nothing.
    behind: bytes


def of_c(source: bytes, has_errors: bool) -> bytes | None:
    """A source of C that is read better, as ``of_cpp`` says; what is for C++ only is left out where it has to be."""
    return _mended(source, has_errors, never=_NOT_IN_C)


def of_cpp(source: bytes, has_errors: bool) -> bytes | None:
    """The source with blanks for what keeps a grammar from reading it, of the same length and the same lines.

    None where nothing does, as far as can be told.
    """
    return _mended(source, has_errors, never=_NOWHERE)


def _mended(source: bytes, has_errors: bool, never: re.Pattern[bytes]) -> bytes | None:
    if not has_errors and _EXPORTED_CLASS.search(source) is None:
        return None
    code = bytearray(_NO_CODE.sub(lambda match: _blank(match[0]), source))
    mended = bytearray(source)
    directives = list(_directives(code))
    for group in _conditions(directives):
        if not _is_whole(code, group):
            _leave_one_branch(code, mended, group, never)
    for directive in directives:
        _erase(directive.start, directive.end, code)
    _erase_macros(code, mended)
    return bytes(mended) if mended != source else None


def _blank(text: bytes) -> bytes:
    return _NOT_BLANK.sub(b" ", text)


def _erase(start: int, end: int, *texts: bytearray) -> None:
    for text in texts:
        text[start:end] = _blank(bytes(text[start:end]))


def _directives(code: bytearray) -> Iterator[_Directive]:
    end = 0
    for match in _DIRECTIVE.finditer(code):
        yield _Directive(match[1], *match.span(), bytes(code[end : match.start()].rstrip()[-1:]))
        end = match.end()


def _conditions(directives: list[_Directive]) -> Iterator[list[_Directive]]:
    """The directives of each condition, the inner ones first."""
    around: list[list[_Directive]] = []
    for directive in directives:
        if directive.word.startswith(b"if"):
            around.append([directive])
        elif directive.word.startswith(b"el") and around:
            around[-1].append(directive)
        elif directive.word == b"endif" and around:
            group = [*around.pop(), directive]
            if len(around) < _MAX_NESTED:
                yield group


def _is_whole(code: bytearray, group: list[_Directive]) -> bool:
    """Whether each branch is a number of declarations or statements."""
    if any(each.behind not in _ENDS for each in group):
        return False
    for here, there in pairwise(group):
        depth = 0
        for brace in _BRACE.findall(code, here.end, there.start):
            depth += 1 if brace == b"{" else -1
            if depth < 0:
                return False
        if depth != 0:
            return False
    return True


def _leave_one_branch(code: bytearray, mended: bytearray, group: list[_Directive], never: re.Pattern[bytes]) -> None:
    """The first one that can be; all of them within a list."""
    is_list = group[0].behind == b","
    kept = 1 if never.match(code, group[0].start, group[0].end) else 0
    for number, directive in enumerate(group[:-1]):
        is_kept = number == kept or is_list
        _erase(directive.start, directive.end if is_kept else group[number + 1].start, code, mended)
    _erase(group[-1].start, group[-1].end, code, mended)


def _erase_macros(code: bytearray, mended: bytearray) -> None:
    last, end = b"", 0
    for match in list(_LINE.finditer(code)):
        last = bytes(code[end : match.start()].rstrip()[-1:]) or last
        end = match.end()
        is_type = not match["macro"].endswith(b")") and _IS_TYPE.match(code, end)
        if last in _ENDS and not is_type and not _GOES_ON.match(code, end):
            _erase(*match.span("macro"), code, mended)
        else:
            last = b"_"
    for match in list(_CLASS.finditer(code)):
        _erase(*match.span("before"), code, mended)
        _erase(*match.span("behind"), code, mended)
    for match in list(_IN_FRONT.finditer(code)):
        _erase(*match.span(), code, mended)
    for match in list(_BETWEEN.finditer(code)):
        if match["before"] not in _NO_TYPE:
            _erase(*match.span("macro"), code, mended)
    for match in list(_PARAMETER.finditer(code)):
        if match["before"] not in _NO_PARAMETER:
            _erase(*match.span("macro"), code, mended)
    for match in list(_BEHIND.finditer(code)):
        _erase(*match.span("macro"), code, mended)
