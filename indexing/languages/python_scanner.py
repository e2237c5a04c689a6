"""Python without a tree: the symbols and imports of a file by its lines, or None where a tree is needed.

Four times as fast as a tree, and the same rows: ``scripts/scanner_agreement.py`` compares them. Whatever is not known
here for sure, such as a bracket that is never closed, makes it None.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from indexing.found import MAX_IMPORTS, MAX_NAME, MAX_PARENT, Import, Symbol
from indexing.languages import python_lines as lines
from indexing.languages.python_chains import separated
from indexing.languages.python_comments import TRAILING, Comments
from indexing.languages.python_imports import UnknownImport, wanted_by
from indexing.languages.python_names import is_exported
from indexing.languages.python_pieces import SPACES, Unsure, as_text, beginning
from indexing.wording import LOOK_SIGNATURE, docstring_of, first_line_of
from indexing.written import NULL, field, written_imports, written_symbols

#: The body of most that have it on the line of their header.
_STUB = "...\n"
_FUNCTIONS = frozenset({"function", "method"})

#: Where the next line that says something is: the end of the line in front, its beginning, its first character.
_Place = tuple[int, int, int]

#: What reads a line that begins so.
_READERS = {"def": lines.in_function, "asy": lines.in_function, "cla": lines.in_class}
_IMPORTS = frozenset({"imp", "fro"})

#: A NamedTuple's own way to make one takes twice as long.
_new = tuple.__new__


class _Scope(NamedTuple):
    """What is around a line. ``kind`` is None for the file."""

    #: In COPY's text format.
    qualified: str
    kind: str | None
    #: Whether what is in it can be used elsewhere.
    is_exporting: bool
    #: The kind of a ``def`` in it.
    function: str


class _Definition(NamedTuple):
    """A symbol, as far as it is known at its beginning: its row around what is known at its end."""

    #: Its place in the rows.
    place: int
    start: int
    #: From the ordinal to the first line; signature, parent and first column; documentation and whether it is exported.
    head: str
    middle: str
    tail: str


class _Block(NamedTuple):
    """Lines that are indented alike; ``definition`` is what they are the body of, None for another statement's."""

    indent: str
    scope: _Scope
    definition: _Definition | None
    #: How far the definition itself is indented.
    outer: int


def scan(source: bytes, max_symbols: int) -> tuple[Sequence[Symbol], Sequence[Import]] | None:
    """What UTF-8 source defines and imports, in its order; None when a tree has to say it."""
    decoded = source.decode("latin-1")
    if "\x00" in decoded or ("\r" in decoded and lines.RETURN.search(decoded)):
        return None
    text = separated(decoded)
    if text is None:
        return None
    scan = _Scan(text if text.endswith("\n") else text + "\n")
    try:
        scan.run()
    except (Unsure, UnknownImport):
        return None
    if len(scan.symbols) > max_symbols:
        return None
    imports = [f"{ordinal}\t{line}\t{wanted}" for ordinal, (wanted, line) in enumerate(scan.imports.items())]
    return written_symbols(scan.symbols), written_imports(imports)


class _Scan(Comments):
    """One way through a file."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        #: Rows.
        self.symbols: list[str] = []
        #: Rows without ordinal and line -> line.
        self.imports: dict[str, int] = {}
        self._blocks = [_Block("", _Scope(NULL, None, True, "function"), None, 0)]
        #: The last line whose comment was looked for.
        self._commented = -1

    def run(self) -> None:
        text, blocks, length = self._text, self._blocks, len(self._text)
        in_function, in_class, readers = lines.in_function, lines.in_class, _READERS
        at, begin, start = self._place_behind(0)
        while begin < length:
            indent = text[begin:start]
            if indent != blocks[-1].indent:
                self._indent(indent, at, begin)
            head = text[start : start + 3]
            if head in readers:
                found = readers[head](text, start)
                if found[1] is not None:
                    at, begin, start = self._definition(found, at, begin, begin, indent)
                    continue
            elif head in _IMPORTS and (line := lines.IMPORT_LINE.match(text, start)) is not None:
                self._ordinary = begin
                self._import(line[1], start)
                at = line.start(6)
                begin, start = line.span(7)
                continue
            if head[:1] != "@":
                found = in_function(text, begin) if blocks[-1].scope.kind in _FUNCTIONS else in_class(text, begin)
                end = found.start(7)
                if end > begin:
                    self._ordinary = begin
                    at = end
                    begin, start = found.span(8)
                    continue
            at, begin, start = self._telling(at, begin, start)
        self._leave(0, at, begin)

    def _place_behind(self, at: int) -> _Place:
        begin, start = lines.following(self._text, at).span(1)
        return at, begin, start

    def _indent(self, indent: str, at: int, begin: int) -> None:
        """Go to the block of a line; ``at`` is the end of the line in front."""
        if len(indent) < len(self._blocks[-1].indent):
            self._leave(len(indent), at, begin)
        around = self._blocks[-1]
        if not indent.startswith(around.indent):
            raise Unsure
        if len(indent) > len(around.indent):
            self._blocks.append(_new(_Block, (indent, around.scope, None, 0)))

    def _leave(self, length: int, at: int, begin: int) -> None:
        """Leave the blocks that are indented further; comments indented as they are belong to them."""
        text, blocks = self._text, self._blocks
        at_end = begin == len(text)
        has_comments = begin > at + 1 and text.find("#", at, begin) >= 0
        while (at_end or len(blocks[-1].indent) > length) and len(blocks) > 1:
            indent, _scope, definition, outer = blocks.pop()
            if definition is None:
                continue
            if length > outer:
                raise Unsure
            if has_comments:
                at = self._behind_comments(at, begin, len(indent))
            self._close(definition, at - 1 if text[at - 2] not in TRAILING else self._trimmed(at))

    def _close(self, definition: _Definition, end: int) -> None:
        place, start, head, middle, tail = definition
        last_line, last_column = self._line_of(end), self._columns(end)
        self.symbols[place] = f"{head}\t{last_line}\t{middle}\t{last_column}\t{start}\t{end}\t{tail}"

    def _telling(self, at: int, begin: int, start: int) -> _Place:
        """A line that says something."""
        first, decorated_by_comment = begin, False
        text = self._text
        while text[start : start + 1] == "@":
            end, (below, below_start) = self._decorator_end(start)
            decorated_by_comment |= "#" in text[end:below]
            if not text.startswith(text[begin:start], below, below_start):
                raise Unsure
            begin, start = below, below + start - begin
        if first != begin:
            found = (lines.in_class if text.startswith("class", start) else lines.in_function)(text, start)
            if found[1] is None:
                raise Unsure
            return self._definition(found, at, first, begin, text[begin:start], has_comment=decorated_by_comment)
        if lines.COMPOUND.match(text, start) and (inline := lines.inline().match(text, start)):
            start = inline.end()
            if text[start] == "#":
                # A comment that is as long as a type.
                self._ordinary = begin
                return self._place_behind(text.index("\n", start) + 1)
        return self._place_behind(self._statements(begin, start))

    def _decorator_end(self, start: int) -> tuple[int, tuple[int, int]]:
        """The end of its line, and the beginning and the first character of what follows."""
        found = lines.DECORATOR.match(self._text, start)
        if found is not None:
            return found.end(1), found.span(2)
        # Brackets may be deeper than a pattern follows them.
        decorator = lines.simple(self._text, start + 1)
        line_end = lines.END.match(self._text, decorator) if decorator else None
        if line_end is None:
            raise Unsure
        end, below, below_start = self._place_behind(line_end.end())
        return end, (below, below_start)

    def _definition(
        self, found: re.Match[str], at: int, first: int, begin: int, indent: str, *, has_comment: bool = False
    ) -> _Place:
        """A definition that one of the readers has found.

        ``first``: where its decorators begin, or else where its line does, which is ``begin``; ``at``: the end of the
        line in front. ``has_comment``: between decorators.
        """
        text, rows, (parent, _kind, is_exporting, function) = self._text, self.symbols, self._blocks[-1].scope
        # One by one: all spans at once take longer than those that are needed.
        signature, name, at_end, (below, body), (next_begin, next_start) = (
            found[1], found[2], found.end(7), found.span(5), found.span(8)
        )  # fmt: skip
        outer, is_stub = len(indent), False
        start = begin + outer
        if below < 0:
            body = lines.indentation(text, found.end(1) + 1).end()
            doc, is_stub = self._docstring(body), text.startswith(_STUB, body)
        elif body - below <= outer or (outer and text[below : below + outer] != indent):
            raise Unsure
        elif (literal := found[6]) is not None:
            doc = self._said(literal)
        else:
            doc = self._docstring(body) if text[body] in "fF" else None
        if doc is None:
            # A comment takes a sign and the end of its line.
            doc = self._comment_above(first) if first > at + 1 and text.find("#", at, first) >= 0 else None
            if doc is None and has_comment:
                if "#" in text[text.rfind("\n", 0, max(0, first - 1)) + 1 : first]:
                    raise Unsure
                doc = self._comment_above(begin, is_decorated=True)
        said = field(doc) if doc else NULL
        kind = "class" if signature[0] == "c" else function
        if not self._is_ascii or len(name) > MAX_NAME:
            name = as_text(name)[:MAX_NAME]
        exported = is_exporting and (name[0] != "_" or is_exported(name))
        signature = self._signature(signature)
        # The definition begins behind everything that was counted so far.
        line = self._line + text.count("\n", self._counted_to, start)
        if is_stub or (at_end > below >= 0 and next_start - next_begin <= outer):
            # All of its body is known. Only comments can be between that and what follows.
            if is_stub:
                self._ordinary, end = begin, body + len(_STUB) - 1
                at_end, next_begin, next_start = self._place_behind(end + 1)
            else:
                self._ordinary, end = below, at_end
                if next_begin > end + 1 and text.find("#", end, next_begin) >= 0:
                    end = self._behind_comments(end, next_begin, body - below)
                end = end - 1 if text[end - 2] not in TRAILING else self._trimmed(end)
            last_line = self._line = line + text.count("\n", start, end)
            self._counted_to = end
            last_column = end - text.rfind("\n", 0, end) - 1 if self._is_ascii else self._columns(end)
            rows.append(
                f"{len(rows)}\t{name}\t{kind}\t{line}\t{last_line}\t{signature}\t{parent}\t{outer + 1}\t{last_column}"
                f"\t{start}\t{end}\t{said}\t{exported}"
            )
            return at_end, next_begin, next_start
        self._line, self._counted_to = line, start
        head, middle = f"{len(rows)}\t{name}\t{kind}\t{line}", f"{signature}\t{parent}\t{outer + 1}"
        definition = _new(_Definition, (len(rows), start, head, middle, f"{said}\t{exported}"))
        rows.append("")
        self._ordinary = begin
        qualified = name if parent == NULL else f"{parent}.{name}"[:MAX_PARENT]
        is_class = kind == "class"
        scope = _new(_Scope, (qualified, kind, exported and is_class, "method" if is_class else "function"))
        if below >= 0:
            self._blocks.append(_new(_Block, (text[below:body], scope, definition, outer)))
            if at_end == below:
                return found.end(3), next_begin, next_start
            self._ordinary = below
            return at_end, next_begin, next_start
        end = self._inline_body(body, scope)
        self._close(definition, self._trimmed(end))
        return self._place_behind(end)

    def _inline_body(self, body: int, scope: _Scope) -> int:
        """``def f(): return 1``; returns the end of the line."""
        end, is_over = body, False
        while not is_over:
            after = lines.AFTER.match(self._text, lines.simple(self._text, end) or end)
            if after is None:
                raise Unsure
            end, is_over = after.end(), after[1] is None
        found = (lines.in_function if scope.kind in _FUNCTIONS else lines.in_class)(self._text, body, end)
        if found[1] is not None or found.start(7) != end:
            raise Unsure
        return end

    def _docstring(self, body: int) -> str | None:
        """The documentation of a body, empty when its string says nothing; None without one."""
        text = self._text
        if text[body] not in "\"'rRuUbBfF":
            return None
        found = lines.DOCSTRING.match(text, body)
        if found is not None:
            return self._said(found[1])
        if text[body] in "fF" and ('"' in text[body : body + 3] or "'" in text[body : body + 3]):
            raise Unsure
        return None

    def _said(self, literal: str) -> str:
        """The documentation in a string, empty when that says nothing."""
        if literal[0] in "fF" and literal.count("{") != literal.count("}"):
            # An expression may have the same quotes in it.
            raise Unsure
        return docstring_of(beginning(literal)) or ""

    def _statements(self, begin: int, at: int) -> int:
        """Simple statements on one line, one of which says something."""
        text = self._text
        while True:
            end = self._statement(begin, at)
            after = lines.AFTER.match(text, end)
            if after is None:
                raise Unsure
            if after[1] is None:
                self._ordinary = begin
                return after.end()
            at = after.end()

    def _statement(self, begin: int, at: int) -> int:
        text = self._text
        if text.startswith(("import", "from"), at) and (found := lines.IMPORT.match(text, at)):
            self._import(found[0], at)
            return found.end()
        end = lines.simple(text, at)
        if not end:
            raise Unsure
        if (found := lines.LAMBDA.match(text, at, end)) is not None:
            self._lambda(begin, at, found, end)
        elif self._blocks[-1].scope.kind in (None, "class") and (found := lines.CONSTANT.match(text, at, end)):
            self._constant(begin, at, found, end)
        elif (found := lines.TYPE.match(text, at)) is not None:
            self._type(begin, at, found, end)
        elif text.startswith(("def", "class", "import", "from", "@", "async", "type"), at):
            raise Unsure
        return end

    def _import(self, statement: str, at: int) -> None:
        line, imports = self._line_of(at), self.imports
        for wanted in wanted_by(statement):
            if wanted not in imports and len(imports) < MAX_IMPORTS:
                imports[wanted] = line

    def _constant(self, begin: int, at: int, found: re.Match[str], end: int) -> None:
        body = None
        # Most have not even its letters, and those are found a hundred times as fast.
        if (
            found[2] is not None
            and self._text.find("for", at, end) >= 0
            and lines.FOR.search(self._text, found.start(2), end)
        ):
            # Of a comprehension the signature shows no more than where it begins.
            body = self._comprehended(found.start(2), end)
        self._assigned(begin, at, found[1], "constant", end, body)

    def _comprehended(self, at: int, end: int) -> int | None:
        """Where the element of a comprehension begins; None when the expression is none."""
        inside, closed = lines.own(self._text, at)
        if not closed:
            raise Unsure
        if self._text[closed:end].strip(SPACES) or lines.FOR.search(inside) is None:
            return None
        return lines.first(self._text, at + 1).end()

    def _type(self, begin: int, at: int, found: re.Match[str], end: int) -> None:
        name_end = found.end()
        if self._text.startswith("[", name_end):
            parameters = lines.bracket().match(self._text, name_end)
            if parameters is None:
                raise Unsure
            name_end = parameters.end()
        if lines.EQUALS.match(self._text, name_end) is None:
            raise Unsure
        self._assigned(begin, at, found[1], "type", end, None)

    def _lambda(self, begin: int, at: int, found: re.Match[str], end: int) -> None:
        body, depth = found.end(), 1
        while depth:
            parameters = lines.parameters().match(self._text, body, end)
            if parameters is None:
                raise Unsure
            body = parameters.end()
            # Those of a lambda in them end first.
            depth += 1 if parameters[1] != ":" else -1
        kind = "method" if self._blocks[-1].scope.kind == "class" else "function"
        self._assigned(begin, at, found[1], kind, end, body)

    def _assigned(self, begin: int, at: int, name: str, kind: str, end: int, body: int | None) -> None:
        text, around, rows = self._text, self._blocks[-1].scope, self.symbols
        end = at + len(text[at:end].rstrip(SPACES))
        if text[end - 1] == "\\":
            raise Unsure
        if body is None:
            signature = field(first_line_of(as_text(text[at : min(end, at + LOOK_SIGNATURE)])))
        else:
            signature = self._signature(text[at:body])
        name = as_text(name)[:MAX_NAME]
        # Of several on a line the first one has the comment.
        is_first = "\n" not in text[begin:at] and self._commented != begin
        self._commented = begin
        line, column, doc = self._line_of(at), self._columns(at) + 1, self._comment_above(begin) if is_first else None
        exported = around.is_exporting and is_exported(name)
        last_line, last_column = self._line_of(end), self._columns(end)
        rows.append(
            f"{len(rows)}\t{name}\t{kind}\t{line}\t{last_line}\t{signature}\t{around.qualified}\t{column}\t{last_column}"
            f"\t{at}\t{end}\t{field(doc)}\t{exported}"
        )
