"""What universal-ctags calls a function, method or class and is none: rules that look at the line it names.

Each rule is narrow and has a name, under which ``ctags_agreement.py`` counts what it holds for: what we have there too,
and what not. A rule that is too wide shows in the former.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from typing import NamedTuple


class Tag(NamedTuple):
    """What ctags says of one definition."""

    name: str
    #: From 1.
    line: int
    kind: str


class Text:
    """A source by its lines."""

    def __init__(self, content: bytes) -> None:
        self.lines = content.decode("utf-8", "replace").split("\n")

    def line(self, number: int) -> str:
        """One line, from 1; empty behind the last."""
        return self.lines[number - 1] if number <= len(self.lines) else ""

    def from_line(self, number: int, lines: int) -> str:
        """So many lines from one on."""
        return "\n".join(self.lines[number - 1 : number - 1 + lines])

    @cached_property
    def heredocs(self) -> frozenset[int]:
        """The lines of Ruby that are inside of ``<<~NAME``, by their numbers."""
        return frozenset(_heredocs(self.lines))


Holds = Callable[[Tag, Text], bool]


class Rule(NamedTuple):
    """One way in which ctags errs."""

    languages: tuple[str, ...]
    cause: str
    holds: Holds


def cause_of(language: str, tag: Tag, text: Text) -> str | None:
    """The name of the rule that says why a tag is no definition; None for a definition."""
    return next((rule.cause for rule in RULES if language in rule.languages and rule.holds(tag, text)), None)


def _on_line(pattern: str) -> Holds:
    """The line matches; NAME in the pattern is the tag's name."""

    def holds(tag: Tag, text: Text) -> bool:
        return re.search(pattern.replace("NAME", re.escape(tag.name)), text.line(tag.line)) is not None

    return holds


def _all_on_line(pattern: str, *, lines: int = 1) -> Holds:
    """Wherever the name stands on the line, the pattern matches there."""

    def holds(tag: Tag, text: Text) -> bool:
        source = text.from_line(tag.line, lines)
        length = len(text.line(tag.line))
        places = list(re.finditer(rf"(?<![\w$]){re.escape(tag.name)}(?![\w$])", source))
        places = [each for each in places if each.start() < length]
        wanted = re.compile(pattern.replace("NAME", re.escape(tag.name)))
        matched = [each.span() for each in wanted.finditer(source)]
        return bool(places) and all(
            any(start <= place.start() and place.end() <= end for start, end in matched) for place in places
        )

    return holds


_HEREDOC = re.compile(r"(?<=[\s(=,{])<<(?:[~-](?=[\w\"'`])|(?=[A-Z\"'`]))([\"'`]?)([A-Za-z_]\w*)\1")


def _heredocs(lines: list[str]) -> Iterator[int]:
    ends = {line.strip() for line in lines}
    waiting: list[str] = []
    for number, line in enumerate(lines, 1):
        if waiting:
            if line.strip() == waiting[0]:
                waiting.pop(0)
            else:
                yield number
        elif not line.lstrip().startswith("#"):
            waiting = [match[2] for match in _HEREDOC.finditer(line) if match[2] in ends]


def _is_called_at_once(tag: Tag, text: Text) -> bool:
    """``name = (function () {...})()``: the value is what the function returns. By the line that closes it."""
    line = text.line(tag.line)
    begin = rf"(?<![\w$]){re.escape(tag.name)}\s*[:=]\s*(?:/\*#__PURE__\*/\s*\(?|[(!])\s*(?:async\s+)?function\b"
    if re.search(begin, line) is None:
        return False
    indent = line[: len(line) - len(line.lstrip())]
    for end in text.lines[tag.line :]:
        if end.startswith(f"{indent}}}"):
            return re.match(r"\s*\}\s*(\)\s*\(|\(|\)?\.(call|apply)\()", end) is not None
    return False


def _is_macro(tag: Tag, text: Text) -> bool:
    """``TEST(a, b) {``: in capitals, and there is no type on its line nor on the one before."""
    if re.match(rf"\s*(?=[A-Z_0-9]+\b){re.escape(tag.name)}\s*\(", text.line(tag.line)) is None:
        return False
    before = text.line(tag.line - 1).strip() if tag.line > 1 else ""
    return before == "" or before.startswith(("#", "//")) or before.endswith((";", "{", "}", ":", "*/", ")", "\\"))


def _is_lambda_parameter(tag: Tag, text: Text) -> bool:
    """``name ->``, ``name, other: Type ->``, of up to four lines and without a brace between."""
    name = re.escape(tag.name)
    pattern = re.compile(rf"(?<!fun )(?<![\w.]){name}`?\s*(?:->|[,):][^{{}}]*?->)")
    found = pattern.search(text.from_line(tag.line, 4))
    return found is not None and found.start() < len(text.line(tag.line))


#: A class, or a function that makes objects.
_is_class = _on_line(
    r"\b(?:class|function)\s+NAME(?![\w$])|(?<![\w$])NAME\s*[=:]\s*(?:/\*.*?\*/\s*)?\(*(?:class|function)\b"
)

_C = ("c", "cpp")
_SCRIPTS = ("javascript", "typescript", "tsx")
_VALUE = r"(?:async\b|function\b|class\b|\(|[\w$]+\s*=>)"
_KEYWORDS = frozenset(
    ("if", "for", "while", "do", "switch", "case", "return", "else", "catch", "throw", "sizeof", "typedef")
)

RULES: Iterable[Rule] = (
    Rule(("ruby",), "in a text (<<~TEXT)", lambda tag, text: tag.line in text.heredocs),
    Rule(_C, "a word of the language itself", lambda tag, _text: tag.name in _KEYWORDS),
    Rule(
        _SCRIPTS,
        "a word of the language itself",
        _on_line(r"\b(?=(?:if|for|while|switch)\b)NAME\s*\(|\b(?=extends\b)NAME\s"),
    ),
    Rule(("ruby",), "whom a method belongs to: def name.method", _on_line(r"\bdef\s+NAME\s*\.")),
    Rule(("kotlin",), "a parameter of a lambda", _is_lambda_parameter),
    Rule(("kotlin",), "the variable of a loop", _on_line(r"\bfor\s*\([^)]*?\bNAME\b.*?\bin\b")),
    Rule(_C, "a macro in the place of a function", _is_macro),
    Rule(_C, "a macro behind a name", _on_line(r"\b(?:class|struct|enum)\b.*\w\s+(?=[A-Z0-9]+_[A-Z_0-9]*\b)NAME\b")),
    Rule(
        _SCRIPTS,
        "an object with members",
        lambda tag, text: tag.kind == "class" and not _is_class(tag, text),
    ),
    Rule(
        _SCRIPTS,
        "a part of a longer name: name.other = function",
        _all_on_line(r"(?<!\.prototype\.)\bNAME(?:\.[\w$.]+|(?:\.[\w$.]+)?\[[^\]]*\])\s*+=(?!=)"),
    ),
    Rule(_SCRIPTS, "what a function returns: name = (function () {...})()", _is_called_at_once),
    Rule(
        _SCRIPTS,
        "something that has its name elsewhere: A.prototype.name = other",
        # Not possessive as a whole: until 3.11.4 Python goes on from the wrong place behind such a group.
        _all_on_line(rf"\.prototype\.NAME\s*+=\s*+(?!(?:[\w$.]+\s*=(?!=)\s*)*{_VALUE}|=)|\bNAME\.prototype\b"),
    ),
    Rule(_SCRIPTS, "a use: A.prototype.name", _all_on_line(r"\.prototype\.NAME\s*+(?!=[^=])")),
    Rule(("csharp",), "a condition of a type parameter: where T : class", _all_on_line(r"\bwhere\b.*|<[^<>]*>")),
    Rule(("csharp",), "a call", _on_line(r"\bnew\s+NAME\s*\(|^\s*NAME\s*\([^{]*;")),
)
