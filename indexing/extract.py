"""One file's content -> its symbols and imports: a parse with a budget, then one walk over what can define something.

The walk never recurses and looks at a node once, so that a deep or wide tree costs no more than its size. Nodes that no
rule and no ``descend`` entry names are not entered: expressions and bodies that cannot define anything are never seen.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

from tree_sitter import Language as Grammar
from tree_sitter import Node, Parser, Tree

from indexing.found import (
    MAX_IMPORTS,
    MAX_NAME,
    MAX_PARENT,
    Export,
    Found,
    Grammatical,
    Import,
    Rule,
    Scope,
    Symbol,
    Visibility,
)
from indexing.wording import Source

#: Nodes between two looks at the clock.
_NODES_PER_CLOCK: Final = 1024

#: The parser asks so often that the clock would take a tenth of its time.
_CALLS_PER_CLOCK: Final = 16

#: How much of a source the parser is handed at a time, in bytes.
_CHUNK_BYTES: Final = 64 * 1024

#: The memory of a larger source's tree is worth giving back at once, in bytes.
_LARGE_BYTES: Final = 128 * 1024

#: How much of its time a file must have left to be mended: that cannot be stopped and takes up to 1.7 s for a MiB, and
#: what was read before must not be lost to the limit that the kernel enforces.
_MENDING_SHARE: Final = 0.5

#: The number of tree-sitter's ERROR nodes, which no grammar lists; what is inside one is often whole.
_ERROR_KIND: Final = 0xFFFF

_FUNCTIONS: Final = frozenset({"function", "method"})


class OutOfTime(Exception):
    """The file took more CPU time than it may."""


class TooManySymbols(Exception):
    """The file defines more than is kept of one file."""


class Extractor:
    """A parser of one language, used for one file after another."""

    def __init__(self, language: Grammatical) -> None:
        grammar = Grammar(language.grammar())
        self._parser = Parser(grammar)
        self._language = language
        # Looked up by number, once a node. Several numbers have the same name; an ERROR node's is in no table.
        self._rules: dict[int, Rule] = {}
        self._entered = {_ERROR_KIND}
        self._comments: set[int] = set()
        self._between: set[int] = set()
        self._wrappers: set[int] = set()
        self._exporters: set[int] = set()
        for number in range(grammar.node_kind_count):
            name = grammar.node_kind_for_id(number)
            # Keywords have the names of what they begin.
            if name is None or not grammar.node_kind_is_named(number):
                continue
            if name in language.rules:
                self._rules[number] = language.rules[name]
            if name in language.rules or name in language.descend:
                self._entered.add(number)
            for numbers, names in (
                (self._comments, language.comments),
                (self._between, language.between),
                (self._wrappers, language.wrappers),
                (self._exporters, language.exporters),
            ):
                if name in names:
                    numbers.add(number)
        self._entered |= self._wrappers | self._exporters
        self._noticed = self._entered | self._comments | self._between

    def extract(self, source: bytes, *, seconds: float, max_symbols: int) -> tuple[Sequence[Symbol], Sequence[Import]]:
        """What UTF-8 source defines and imports, in its order. OutOfTime after ``seconds`` of CPU time; TooManySymbols.

        Lines and columns count from 1, columns in characters; bytes are those of ``source``.
        """
        if self._language.scan is not None:
            scanned = self._language.scan(source, max_symbols)
            if scanned is not None:
                return scanned
        return self.extract_by_tree(source, seconds=seconds, max_symbols=max_symbols)

    def extract_by_tree(self, source: bytes, *, seconds: float, max_symbols: int) -> tuple[list[Symbol], list[Import]]:
        """The same, always by a tree."""
        deadline = time.thread_time() + seconds
        try:
            return self._by_tree(source, deadline, seconds, max_symbols)
        finally:
            if len(source) > _LARGE_BYTES:
                _give_back()

    def _by_tree(
        self, source: bytes, deadline: float, seconds: float, max_symbols: int
    ) -> tuple[list[Symbol], list[Import]]:
        tree = self._parse(source, deadline)
        found = _Walk(self, source, deadline, max_symbols).run(tree)
        if self._language.mend is None or deadline - time.thread_time() < seconds * _MENDING_SHARE:
            return found
        mended = self._language.mend(source, tree.root_node.has_error)
        if mended is None:
            return found
        unread = _unread_bytes(tree)
        del tree
        try:
            again = self._parse(mended, deadline)
            return _Walk(self, source, deadline, max_symbols).run(again) if _unread_bytes(again) <= unread else found
        except (OutOfTime, TooManySymbols):
            return found

    def _parse(self, source: bytes, deadline: float) -> Tree:
        late = False
        asked = 0

        def out_of_time(_offset: int, _has_error: bool) -> bool:
            nonlocal late, asked
            asked += 1
            if asked % _CALLS_PER_CLOCK == 0:
                late = time.thread_time() > deadline
            return late

        # Through a callback, because the budget is ignored for a source given as bytes.
        view = memoryview(source)
        try:
            return self._parser.parse(
                lambda offset, _point: view[offset : offset + _CHUNK_BYTES], progress_callback=out_of_time
            )
        except ValueError:
            if late:
                # Otherwise the next parse would go on with this one.
                self._parser.reset()
                raise OutOfTime from None
            raise


class _Walk:
    """One walk over one tree."""

    def __init__(self, extractor: Extractor, source: bytes, deadline: float, max_symbols: int) -> None:
        self._tables = extractor
        self._language = extractor._language
        self._source = Source(source)
        self._text = self._source.text
        self._deadline = deadline
        self._max_symbols = max_symbols
        self._symbols: list[Symbol] = []
        self._imports: dict[tuple[str | None, int | None, str], Import] = {}
        self._exports: set[str] = set()
        self._scopes: list[Scope] = []
        #: Comments just seen: first and last byte, and the last row on which what they belong to may begin.
        self._comment: tuple[int, int, int] | None = None
        #: They stand in front of a node around a definition, so that comments within that are no part of them.
        self._comment_is_outside = False
        #: The last byte of the last of them, or of what may stand between them and what they belong to.
        self._comment_end = 0
        #: The values that have got their names from what they are assigned to.
        self._named_values: set[int] = set()
        #: How deep the ``export`` around us is; -1: none.
        self._export_depth = -1

    def run(self, tree: Tree) -> tuple[list[Symbol], list[Import]]:
        cursor = tree.walk()
        tables = self._tables
        noticed, entered, rules, scopes = tables._noticed, tables._entered, tables._rules, self._scopes
        depth = looked_at = 0
        while True:
            looked_at += 1
            if looked_at % _NODES_PER_CLOCK == 0 and time.thread_time() > self._deadline:
                raise OutOfTime
            node = cursor.node
            assert node is not None
            kind = node.kind_id
            if kind in noticed:
                if kind in entered:
                    while scopes and scopes[-1].depth >= depth:
                        scopes.pop()
                    if depth <= self._export_depth:
                        self._export_depth = -1
                    if kind in tables._wrappers or kind in tables._exporters:
                        self._wrap(node, kind, depth)
                    rule = rules.get(kind)
                    if rule is not None:
                        self._note(node, rule, depth)
                    if cursor.goto_first_child():
                        depth += 1
                        continue
                else:
                    self._note_comment(node, kind)
            while not cursor.goto_next_sibling():
                if not cursor.goto_parent():
                    return self._end()
                depth -= 1

    def _end(self) -> tuple[list[Symbol], list[Import]]:
        if self._exports:
            self._symbols = [
                each._replace(exported=True) if each.parent is None and each.name in self._exports else each
                for each in self._symbols
            ]
        return self._symbols, list(self._imports.values())

    def _wrap(self, node: Node, kind: int, depth: int) -> None:
        """A node around a definition that a comment in front of it belongs to, or that exports it."""
        if kind in self._tables._exporters and self._export_depth < 0:
            self._export_depth = depth
        if self._comment is not None and node.start_point.row <= self._comment[2]:
            self._comment = (*self._comment[:2], max(self._comment[2], node.end_point.row))
            self._comment_is_outside = True

    def _note_comment(self, node: Node, kind: int) -> None:
        end = node.end_point
        if self._comment_is_outside and self._comment is not None and node.start_point.row <= self._comment[2]:
            return
        self._comment_is_outside = False
        # Some end behind their newline.
        row = end.row if end.column == 0 else end.row + 1
        if (
            self._comment is not None
            and node.start_point.row <= self._comment[2]
            and not (kind in self._tables._comments and self._source.is_behind(node.start_byte, self._comment_end))
        ):
            first, last, _ = self._comment
            self._comment = (first, last if kind in self._tables._between else node.end_byte, row)
        elif kind not in self._tables._between:
            self._comment = (node.start_byte, node.end_byte, row)
        self._comment_end = node.end_byte

    def _note(self, node: Node, rule: Rule, depth: int) -> None:
        if node.id in self._named_values:
            return
        scopes = self._scopes
        around = scopes[-1] if scopes else None
        for found in rule(node, around.kind if around is not None else None, self._text):
            if isinstance(found, Found):
                self._note_definition(node, found, around, depth)
            elif isinstance(found, Import):
                if len(self._imports) < MAX_IMPORTS:
                    self._imports.setdefault((found.module, found.up, found.target), found)
            elif isinstance(found, Export):
                self._exports.add(found.name)
            elif isinstance(found, Visibility) and around is not None:
                around.members_exported = found.exported

    def _note_definition(self, node: Node, found: Found, around: Scope | None, depth: int) -> None:
        name = _clean(found.name)[:MAX_NAME]
        if not name:
            return
        if found.value is not None:
            self._named_values.add(found.value.id)
        if found.holds_rest:
            # It is beside what follows and around it, up to the next of its kind.
            depth -= 1
            while self._scopes and self._scopes[-1].depth >= depth:
                self._scopes.pop()
            around = self._scopes[-1] if self._scopes else None
        qualified = around.qualified if around is not None else None
        parent = qualified if found.parent is None else self._qualify(qualified, found.parent)
        exported = self._is_exported(node, found, around)
        if found.is_symbol:
            self._symbols.append(self._symbol(node, found, name, parent, exported))
            if len(self._symbols) > self._max_symbols:
                raise TooManySymbols
        self._scopes.append(
            Scope(
                depth, self._qualify(parent, name), found.kind, exported or not found.is_symbol, found.members_exported
            )
        )

    def _is_exported(self, node: Node, found: Found, around: Scope | None) -> bool:
        if around is not None and (around.kind in _FUNCTIONS or not around.exported or not around.members_exported):
            return False
        if found.exported is not None:
            return found.exported
        scope_kind = around.kind if around is not None else None
        return self._language.exported(node, found, scope_kind, self._export_depth >= 0, self._text)

    def _symbol(self, node: Node, found: Found, name: str, parent: str | None, exported: bool) -> Symbol:
        start = found.start or node
        first, end = start.start_point, node.end_point
        source = self._source
        if end.column == 0 and end.row > first.row:
            # Some nodes end behind their newline, that is at the beginning of a line that is not theirs.
            last_row, last_byte, last_column = end.row - 1, node.end_byte - 1, None
        else:
            last_row, last_byte, last_column = end.row, node.end_byte, end.column
        body = _body(node)
        return Symbol(
            name,
            found.kind,
            first.row + 1,
            last_row + 1,
            source.signature(node, body, start.start_byte),
            parent,
            source.column(start.start_byte, first.column),
            source.column(last_byte, last_column) - 1,
            start.start_byte,
            last_byte,
            self._doc(node, body),
            exported,
        )

    def _doc(self, node: Node, body: Node | None) -> str | None:
        comment, self._comment = self._comment, None
        if self._language.docstring is not None and body is not None:
            string = self._language.docstring(body)
            if string is not None:
                return self._source.docstring(string.start_byte, string.end_byte)
        if comment is None or node.start_point.row > comment[2] or node.start_byte < comment[1]:
            return None
        return self._source.comment(comment[0], comment[1])

    def _qualify(self, parent: str | None, name: str) -> str:
        name = _clean(name)
        return (name if parent is None else parent + self._language.separator + name)[:MAX_PARENT]


def _unread_bytes(tree: Tree) -> int:
    """How much of a source the grammar could make nothing of."""
    cursor = tree.walk()
    unread = 0
    while True:
        node = cursor.node
        assert node is not None
        if node.is_error or node.is_missing:
            unread += max(1, node.end_byte - node.start_byte)
        elif node.has_error and cursor.goto_first_child():
            continue
        while not cursor.goto_next_sibling():
            if not cursor.goto_parent():
                return unread


def _give_back() -> None:
    """Hand the memory of a large tree back to the system: a tree takes 100 times its source."""
    import ctypes  # Hardly ever needed, and slow to load.

    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:  # glibc's; others give back by themselves.
        trim(0)


def _body(node: Node) -> Node | None:
    body = node.child_by_field_name("body")
    if body is None:
        value = node.child_by_field_name("value") or node.child_by_field_name("right")
        body = value.child_by_field_name("body") if value is not None else None
    return body


def _clean(name: str) -> str:
    return name.replace("\x00", "\N{REPLACEMENT CHARACTER}") if "\x00" in name else name
