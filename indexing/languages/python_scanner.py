"""Python without a tree: the symbols and imports of a file by its lines, or None where a tree is needed.

Four times as fast as a tree, and the same rows: ``scripts/scanner_agreement.py`` compares them. Whatever is not known
here for sure, such as a bracket that is never closed, makes it None.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from indexing.found import MAX_IMPORTS, MAX_NAME, MAX_PARENT, Import, Symbol
from indexing.languages import python_chains
from indexing.languages import python_lines as lines
from indexing.languages.python_imports import Key, UnknownImport, keys_of
from indexing.languages.python_names import is_exported
from indexing.wording import Source

_NEWLINE = ord("\n")
_BACKSLASH = ord("\\")
_CLASS_BEGINS = ord("c")
_SPACES = b" \t\r\n\f"
_FUNCTIONS = frozenset({"function", "method"})

#: Where the next line that says something is: the end of the line in front, its beginning, its first character.
_Place = tuple[int, int, int]

#: What reads a line that begins so.
_READERS = {b"def": lines.in_function, b"asy": lines.in_function, b"cla": lines.in_class}
_IMPORTS = frozenset({b"imp", b"fro"})

#: Holds the place of a definition whose end is not reached.
_UNFINISHED = Symbol("", "", 1, 1, "", None)

#: A NamedTuple's own way to make one takes twice as long, and most of what is made here are these.
_new = tuple.__new__


class _Unsure(Exception):
    """A tree is needed."""


class _Scope(NamedTuple):
    """What is around a line. ``kind`` is None for the file."""

    qualified: str | None
    kind: str | None
    #: Whether what is in it can be used elsewhere.
    is_exporting: bool


class _Block(NamedTuple):
    """Lines that are indented alike; ``symbol`` is the definition whose body they are, -1 for another statement's."""

    indent: bytes
    scope: _Scope
    symbol: int = -1
    #: How far the definition itself is indented.
    outer: int = 0


class _Definition(NamedTuple):
    """A symbol, as far as it is known at its beginning."""

    name: str
    kind: str
    line: int
    column: int
    start: int
    signature: str
    parent: str | None
    doc: str | None
    exported: bool


def scan(source: bytes, max_symbols: int) -> tuple[list[Symbol], list[Import]] | None:
    """What UTF-8 source defines and imports, in its order; None when a tree has to say it."""
    if b"\x00" in source or (b"\r" in source and lines.RETURN.search(source)):
        return None
    if python_chains.need_tree(source):
        return None
    scan = _Scan(source if source.endswith(b"\n") else source + b"\n")
    try:
        scan.run()
    except (_Unsure, UnknownImport):
        return None
    if len(scan.symbols) > max_symbols:
        return None
    return scan.symbols, list(scan.imports.values())


class _Scan:
    """One way through a file."""

    def __init__(self, text: bytes) -> None:
        self.symbols: list[Symbol] = []
        self.imports: dict[Key, Import] = {}
        self._text = text
        self._source = Source(text)
        self._blocks = [_Block(b"", _Scope(None, None, True))]
        self._open: dict[int, _Definition] = {}
        self._counted_to = 0
        self._line = 1
        #: Where the ordinary lines begin that end at the present one.
        self._ordinary = 0
        #: The last line whose comment was looked for.
        self._commented = -1

    def run(self) -> None:
        text, blocks, length = self._text, self._blocks, len(self._text)
        in_function, in_class, readers = lines.in_function, lines.in_class, _READERS
        at, begin, start = self._place_behind(0)
        while begin < length:
            if text[begin:start] != blocks[-1].indent:
                self._indent(text[begin:start], at, begin)
            head = text[start : start + 3]
            if head in readers:
                found = readers[head](text, start)
                if found.start(1) >= 0:
                    at, begin, start = self._definition(found, at, begin, begin, start)
                    continue
            elif head in _IMPORTS and (line := lines.IMPORT_LINE.match(text, start)) is not None:
                self._ordinary = begin
                self._import(line[1], start)
                at = line.start(6)
                begin, start = line.span(7)
                continue
            if head[:1] != b"@":
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

    def _indent(self, indent: bytes, at: int, begin: int) -> None:
        """Go to the block of a line; ``at`` is the end of the line in front."""
        if len(indent) < len(self._blocks[-1].indent):
            self._leave(len(indent), at, begin)
        around = self._blocks[-1]
        if not indent.startswith(around.indent):
            raise _Unsure
        if len(indent) > len(around.indent):
            self._blocks.append(_Block(indent, around.scope))

    def _leave(self, length: int, at: int, begin: int) -> None:
        """Leave the blocks that are indented further; comments indented as they are belong to them."""
        text = self._text
        at_end = begin == len(text)
        has_comments = b"#" in text[at:begin]
        while len(self._blocks) > 1 and (at_end or len(self._blocks[-1].indent) > length):
            block = self._blocks.pop()
            if block.symbol < 0:
                continue
            if length > block.outer:
                raise _Unsure
            if has_comments:
                at = self._behind_comments(at, begin, len(block.indent))
            self._close(block.symbol, at)

    def _behind_comments(self, at: int, begin: int, length: int) -> int:
        for line in self._text[at:begin].splitlines(keepends=True):
            stripped = line.lstrip(b" \t")
            if stripped.startswith(b"#") and len(line) - len(stripped) < length:
                break
            if stripped.startswith((b"\f", b"\r")) and b"#" in stripped:
                raise _Unsure
            at += len(line)
        return at

    def _close(self, index: int, end: int) -> None:
        self.symbols[index] = self._symbol(self._open.pop(index), self._trimmed(end))

    def _trimmed(self, end: int) -> int:
        """The end of a body that ends with the line in front of ``end``."""
        text = self._text
        while text[end - 1] in _SPACES:
            end -= 1
        if text[end] != _NEWLINE:
            # A comment goes to the very end of its line.
            below, above = text.find(b"\n", end) + 1, text.rfind(b"\n", 0, end) + 1
            line = text[above:below]
            if b"#" in line and (line.lstrip().startswith(b"#") or self._has_comment(above, below)):
                end = below - 1
        return end

    def _symbol(self, found: _Definition, end: int) -> Symbol:
        name, kind, line, column, start, signature, parent, doc, exported = found
        last_line, last_column = self._line_of(end), self._source.column(end, None) - 1
        row = (name, kind, line, last_line, signature, parent, column, last_column, start, end, doc, exported)
        return _new(Symbol, row)

    def _line_of(self, at: int) -> int:
        """The number of a line; cheap when it is near the one that was asked for before."""
        if at >= self._counted_to:
            self._line += self._text.count(b"\n", self._counted_to, at)
        else:
            self._line -= self._text.count(b"\n", at, self._counted_to)
        self._counted_to = at
        return self._line

    def _telling(self, at: int, begin: int, start: int) -> _Place:
        """A line that says something."""
        first, decorated_by_comment = begin, False
        text = self._text
        while text[start : start + 1] == b"@":
            end, (below, below_start) = self._decorator_end(start)
            decorated_by_comment |= b"#" in text[end:below]
            if not text.startswith(text[begin:start], below, below_start):
                raise _Unsure
            begin, start = below, below + start - begin
        if first != begin:
            found = (lines.in_class if text.startswith(b"class", start) else lines.in_function)(text, start)
            if found[1] is None:
                raise _Unsure
            return self._definition(found, at, first, begin, start, has_comment=decorated_by_comment)
        if lines.COMPOUND.match(text, start) and (inline := lines.inline().match(text, start)):
            start = inline.end()
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
            raise _Unsure
        end, below, below_start = self._place_behind(line_end.end())
        return end, (below, below_start)

    def _definition(
        self, found: re.Match[bytes], at: int, first: int, begin: int, start: int, *, has_comment: bool = False
    ) -> _Place:
        """A definition that one of the readers has found.

        ``first``: where its decorators begin, or else where its line does, which is ``begin``; ``at``: the end of the
        line in front. ``has_comment``: between decorators.
        """
        text, source, (parent, scope_kind, is_exporting) = self._text, self._source, self._blocks[-1].scope
        # One by one: all spans at once take longer than those that are needed.
        colon, line_end, (below, body), at_end = found.end(2), found.end(3), found.span(5), found.end(7)
        next_begin, next_start = found.span(8)
        outer, is_block = start - begin, line_end >= 0
        if not is_block:
            body = lines.indentation(text, colon).end()
            doc = self._docstring(body)
        elif body - below <= outer or (outer and text[below : below + outer] != text[begin:start]):
            raise _Unsure
        elif found.end(6) >= 0:
            doc = source.docstring(*found.span(6)) or ""
        else:
            doc = self._docstring(body) if text[body] in b"fF" else None
        if doc is None:
            doc = self._comment_above(first) if first > at and text.find(b"#", at, first) >= 0 else None
            if doc is None and has_comment:
                if b"#" in text[text.rfind(b"\n", 0, max(0, first - 1)) + 1 : first]:
                    raise _Unsure
                doc = self._comment_above(begin, is_decorated=True)
        name = found[1].decode("utf-8", "replace")[:MAX_NAME]
        kind = "class" if text[start] == _CLASS_BEGINS else "method" if scope_kind == "class" else "function"
        exported = is_exporting and (name[0] != "_" or is_exported(name))
        signature = source.signature_between(start, colon)
        # The definition begins behind everything that was counted so far.
        line = self._line + text.count(b"\n", self._counted_to, start)
        column = outer + 1
        if is_block and at_end > below and next_start - next_begin <= outer:
            # All of its body is known. Only comments can be between that and what follows.
            self._ordinary, end = below, at_end
            if next_begin > end + 1 and text.find(b"#", end, next_begin) >= 0:
                end = self._behind_comments(end, next_begin, body - below)
            end = end - 1 if text[end - 2] not in _SPACES else self._trimmed(end)
            last_line = self._line = line + text.count(b"\n", start, end)
            self._counted_to = end
            last_column = end - text.rfind(b"\n", 0, end) - 1 if source.is_ascii else source.column(end, None) - 1
            said = doc or None
            row = (name, kind, line, last_line, signature, parent, column, last_column, start, end, said, exported)
            self.symbols.append(_new(Symbol, row))
            return at_end, next_begin, next_start
        self._line, self._counted_to = line, start
        index = len(self.symbols)
        self._open[index] = _Definition(name, kind, line, column, start, signature, parent, doc or None, exported)
        self.symbols.append(_UNFINISHED)
        self._ordinary = begin
        qualified = name if parent is None else f"{parent}.{name}"[:MAX_PARENT]
        scope = _Scope(qualified, kind, exported and kind == "class")
        if is_block:
            self._blocks.append(_Block(text[below:body], scope, index, outer))
            if at_end == below:
                return line_end, next_begin, next_start
            self._ordinary = below
            return at_end, next_begin, next_start
        end = self._inline_body(body, scope)
        self._close(index, end)
        return self._place_behind(end)

    def _inline_body(self, body: int, scope: _Scope) -> int:
        """``def f(): return 1``; returns the end of the line."""
        end, is_over = body, False
        while not is_over:
            after = lines.AFTER.match(self._text, lines.simple(self._text, end) or end)
            if after is None:
                raise _Unsure
            end, is_over = after.end(), after[1] is None
        found = (lines.in_function if scope.kind in _FUNCTIONS else lines.in_class)(self._text, body, end)
        if found[1] is not None or found.start(7) != end:
            raise _Unsure
        return end

    def _docstring(self, body: int) -> str | None:
        """The documentation of a body, empty when its string says nothing; None without one."""
        text = self._text
        if text[body] not in b"\"'rRuUbBfF":
            return None
        found = lines.DOCSTRING.match(text, body)
        if found is not None:
            return self._source.docstring(found.start(1), found.end(1)) or ""
        if text[body] in b"fF" and (b'"' in text[body : body + 3] or b"'" in text[body : body + 3]):
            raise _Unsure
        return None

    def _comment_above(self, first: int, *, is_decorated: bool = False) -> str | None:
        """The comment in front of the line that begins there, or between it and its decorators."""
        text = self._text
        top = bottom = first
        while top:
            above = text.rfind(b"\n", 0, top - 1) + 1
            line = text[above:top].lstrip(b" \t")
            if not line.startswith(b"#"):
                break
            if b'"""' in line or b"'''" in line or b"\f" in line:
                raise _Unsure
            top = above
        if top == bottom:
            return None
        line = text[above:top] if top else b""
        if line.rstrip(b"\r\n").endswith(b"\\"):
            raise _Unsure
        if b"#" in line and not is_decorated and self._has_comment(above, top):
            # It begins behind a statement, and says something of that.
            return None
        start = lines.indentation(text, top).end()
        return self._source.comment(start, bottom - 1)

    def _has_comment(self, begin: int, end: int) -> bool:
        """Whether a line that is not a comment ends with one. Its statement may begin far above."""
        at = self._ordinary
        while at <= begin:
            at = lines.gap(self._text, at).end()
            at = lines.indentation(self._text, at).end()
            while statement := lines.simple(self._text, at + self._text.startswith(b"@", at)):
                at = statement
                at += self._text.startswith(b";", at)
                at = lines.indentation(self._text, at).end()
            line = lines.END.match(self._text, at)
            if line is None:
                break
            if line.end() == end:
                return self._text.startswith(b"#", at)
            at = line.end()
        raise _Unsure

    def _statements(self, begin: int, at: int) -> int:
        """Simple statements on one line, one of which says something."""
        text = self._text
        while True:
            end = self._statement(begin, at)
            after = lines.AFTER.match(text, end)
            if after is None:
                raise _Unsure
            if after[1] is None:
                self._ordinary = begin
                return after.end()
            at = after.end()

    def _statement(self, begin: int, at: int) -> int:
        text = self._text
        if text.startswith((b"import", b"from"), at) and (found := lines.IMPORT.match(text, at)):
            self._import(found[0], at)
            return found.end()
        end = lines.simple(text, at)
        if not end:
            raise _Unsure
        if (found := lines.LAMBDA.match(text, at, end)) is not None:
            self._lambda(begin, at, found, end)
        elif self._blocks[-1].scope.kind in (None, "class") and (found := lines.CONSTANT.match(text, at, end)):
            self._constant(begin, at, found, end)
        elif (found := lines.TYPE.match(text, at)) is not None:
            self._type(begin, at, found, end)
        elif text.startswith((b"def", b"class", b"import", b"from", b"@", b"async", b"type"), at):
            raise _Unsure
        return end

    def _import(self, statement: bytes, at: int) -> None:
        line, imports = self._line_of(at), self.imports
        for key in keys_of(statement):
            if key not in imports and len(imports) < MAX_IMPORTS:
                module, up, target = key
                imports[key] = _new(Import, (line, target, module, up))

    def _constant(self, begin: int, at: int, found: re.Match[bytes], end: int) -> None:
        body = None
        # Most have not even its letters, and those are found a hundred times as fast.
        if (
            found[2] is not None
            and self._text.find(b"for", at, end) >= 0
            and lines.FOR.search(self._text, found.start(2), end)
        ):
            # Of a comprehension the signature shows no more than where it begins.
            body = self._comprehended(found.start(2), end)
        self._assigned(begin, at, found[1], "constant", end, body)

    def _comprehended(self, at: int, end: int) -> int | None:
        """Where the element of a comprehension begins; None when the expression is none."""
        bracket = lines.bracket().match(self._text, at)
        if bracket is None:
            raise _Unsure
        inside = lines.nested().sub(b"", bracket[0][1:-1])
        if self._text[bracket.end() : end].strip() or lines.FOR.search(inside) is None:
            return None
        return lines.first(self._text, at + 1).end()

    def _type(self, begin: int, at: int, found: re.Match[bytes], end: int) -> None:
        name_end = found.end()
        if self._text.startswith(b"[", name_end):
            parameters = lines.bracket().match(self._text, name_end)
            if parameters is None:
                raise _Unsure
            name_end = parameters.end()
        if lines.EQUALS.match(self._text, name_end) is None:
            raise _Unsure
        self._assigned(begin, at, found[1], "type", end, None)

    def _lambda(self, begin: int, at: int, found: re.Match[bytes], end: int) -> None:
        if found[3] is None or b"lambda" in found[2]:
            raise _Unsure
        kind = "method" if self._blocks[-1].scope.kind == "class" else "function"
        self._assigned(begin, at, found[1], kind, end, found.end())

    def _assigned(self, begin: int, at: int, name: bytes, kind: str, end: int, body: int | None) -> None:
        text, around, source = self._text, self._blocks[-1].scope, self._source
        end = at + len(text[at:end].rstrip())
        if text[end - 1] == _BACKSLASH:
            raise _Unsure
        signature = source.first_line(at, end) if body is None else source.signature_between(at, body)
        decoded = self._name(name)
        # Of several on a line the first one has the comment.
        is_first = b"\n" not in text[begin:at] and self._commented != begin
        self._commented = begin
        line, column, doc = self._line_of(at), source.column(at, None), self._comment_above(begin) if is_first else None
        exported = self._is_exported(decoded, around)
        definition = _Definition(decoded, kind, line, column, at, signature, around.qualified, doc, exported)
        self.symbols.append(self._symbol(definition, end))

    def _is_exported(self, name: str, around: _Scope) -> bool:
        return around.is_exporting and is_exported(name)

    def _name(self, name: bytes) -> str:
        return name.decode("utf-8", "replace")[:MAX_NAME]
