"""One file's content -> its symbols: a parse with a budget, then one walk over the part of the tree that can define.

The walk never recurses and looks at a node once, so that a deep or wide tree costs no more than its size. Nodes that no
rule and no ``descend`` entry names are not entered: expressions and bodies that cannot define anything are never seen.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Final, NamedTuple

from tree_sitter import Language as Grammar
from tree_sitter import Node, Parser, Tree

#: Longest stored name, in characters; longer ones are cut. An index row takes 2,700 bytes at most.
MAX_NAME = 255
#: Longest stored qualified name of a parent, in characters: deep nesting would make these grow with its square.
MAX_PARENT = 500
#: Longest stored signature, in characters.
MAX_SIGNATURE = 300

#: Nodes between two looks at the clock.
_NODES_PER_CLOCK: Final = 1024

#: How much of a source the parser is handed at a time, in bytes.
_CHUNK_BYTES: Final = 64 * 1024

#: The number of tree-sitter's ERROR nodes, which no grammar lists; what is inside one is often whole.
_ERROR_KIND: Final = 0xFFFF

_WHITESPACE = re.compile(r"\s+")
_SIGNATURE_END = " \t{:=;"


class Symbol(NamedTuple):
    """One definition. Lines count from 1, the last one included; ``parent`` is the qualified name around it."""

    name: str
    kind: str
    first_line: int
    last_line: int
    signature: str
    parent: str | None


class Found(NamedTuple):
    """What a rule makes of a node: a symbol, and the scope of what is inside it."""

    name: str
    kind: str
    #: False: only a scope, such as Rust's ``impl Name``.
    is_symbol: bool = True
    #: Where the definition itself begins, behind annotations; None: where the node does.
    start: Node | None = None
    #: Said in the name or beside it (``Foo::bar``, a Go receiver); None: what encloses it.
    parent: str | None = None


#: The source of a node; empty for None. ``Node.text`` must not be used: it crashes on trees parsed through a callback.
Text = Callable[[Node | None], str]

#: A node, the kind of the scope it is in (None: the file), how to get text -> what the node defines.
Rule = Callable[[Node, str | None, Text], Iterable[Found]]


class OutOfTime(Exception):
    """The file took more CPU time than it may."""


class TooManySymbols(Exception):
    """The file defines more than is kept of one file."""


class Grammatical(NamedTuple):
    """How one language's trees are read."""

    grammar: Callable[[], object]
    rules: Mapping[str, Rule]
    #: Nodes to look into that define nothing themselves.
    descend: frozenset[str]
    #: Between the parts of a qualified name.
    separator: str = "."


class Extractor:
    """A parser of one language, used for one file after another."""

    def __init__(self, language: Grammatical) -> None:
        grammar = Grammar(language.grammar())
        self._parser = Parser(grammar)
        self._separator = language.separator
        # Looked up by number, once a node. Several numbers have the same name; an ERROR node's is in no table.
        self._actions: dict[int, Rule | None] = {_ERROR_KIND: None}
        for number in range(grammar.node_kind_count):
            name = grammar.node_kind_for_id(number)
            if name is None:
                continue
            if name in language.rules:
                self._actions[number] = language.rules[name]
            elif name in language.descend:
                self._actions[number] = None

    def extract(self, source: bytes, *, seconds: float, max_symbols: int) -> list[Symbol]:
        """The symbols of UTF-8 source, in its order. OutOfTime after ``seconds`` of CPU time; TooManySymbols."""
        deadline = time.thread_time() + seconds
        return self._walk(self._parse(source, deadline), source, deadline, max_symbols)

    def _parse(self, source: bytes, deadline: float) -> Tree:
        late = False

        def out_of_time(_offset: int, _has_error: bool) -> bool:
            nonlocal late
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

    def _walk(self, tree: Tree, source: bytes, deadline: float, max_symbols: int) -> list[Symbol]:
        symbols: list[Symbol] = []
        scopes: list[tuple[int, str, str]] = []  # depth, qualified name, kind
        cursor = tree.walk()
        actions = self._actions
        depth = looked_at = 0
        while True:
            looked_at += 1
            if looked_at % _NODES_PER_CLOCK == 0 and time.thread_time() > deadline:
                raise OutOfTime
            node = cursor.node
            assert node is not None
            if node.kind_id in actions:
                while scopes and scopes[-1][0] >= depth:
                    scopes.pop()
                rule = actions[node.kind_id]
                if rule is not None:
                    self._note(node, rule, source, symbols, scopes, depth)
                    if len(symbols) > max_symbols:
                        raise TooManySymbols
                if cursor.goto_first_child():
                    depth += 1
                    continue
            while not cursor.goto_next_sibling():
                if not cursor.goto_parent():
                    return symbols
                depth -= 1

    def _note(
        self,
        node: Node,
        rule: Rule,
        source: bytes,
        symbols: list[Symbol],
        scopes: list[tuple[int, str, str]],
        depth: int,
    ) -> None:
        def text(part: Node | None) -> str:
            return "" if part is None else source[part.start_byte : part.end_byte].decode("utf-8", "replace")

        around, scope_kind = (scopes[-1][1], scopes[-1][2]) if scopes else (None, None)
        for found in rule(node, scope_kind, text):
            name = found.name.replace("\x00", "\N{REPLACEMENT CHARACTER}")[:MAX_NAME]
            if not name:
                continue
            parent = around if found.parent is None else self._qualify(around, found.parent)
            if found.is_symbol:
                symbols.append(_symbol(node, found, name, parent, source))
            scopes.append((depth, self._qualify(parent, name), found.kind))

    def _qualify(self, parent: str | None, name: str) -> str:
        name = name.replace("\x00", "\N{REPLACEMENT CHARACTER}")
        return (name if parent is None else parent + self._separator + name)[:MAX_PARENT]


def _symbol(node: Node, found: Found, name: str, parent: str | None, source: bytes) -> Symbol:
    start = found.start or node
    first, end = start.start_point.row, node.end_point
    # Some nodes end behind their newline, that is at the beginning of a line that is not theirs.
    last = end.row - 1 if end.column == 0 and end.row > first else end.row
    return Symbol(name, found.kind, first + 1, last + 1, _signature(node, start.start_byte, source), parent)


def _signature(node: Node, start: int, source: bytes) -> str:
    """From the beginning of a definition to its body, or its first line, on one line and without comments."""
    body = node.child_by_field_name("body")
    if body is None:
        value = node.child_by_field_name("value") or node.child_by_field_name("right")
        body = value.child_by_field_name("body") if value is not None else None
    # Four bytes a character at most; a cut in the middle of one is left out below.
    end = min(node.end_byte if body is None else body.start_byte, start + 4 * MAX_SIGNATURE)
    text = _without_comments(node, start, end, source).decode("utf-8", "replace")
    if body is None:
        text = text.lstrip().partition("\n")[0]
    text = _WHITESPACE.sub(" ", text).strip().rstrip(_SIGNATURE_END)
    return text.replace("\x00", "\N{REPLACEMENT CHARACTER}")[:MAX_SIGNATURE]


def _without_comments(node: Node, start: int, end: int, source: bytes) -> bytes:
    kept = []
    for child in node.children:
        if child.start_byte >= end:
            break
        if child.start_byte >= start and "comment" in child.type:
            kept.append(source[start : child.start_byte])
            start = child.end_byte
    return b"".join([*kept, source[start:end]])
