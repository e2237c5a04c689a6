"""What is said about a source: by the rules of a language to the walk, and by the walk to whoever stores it.

Modules that the parser process loads do without dataclasses: it starts in half the time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from tree_sitter import Node

#: Longest stored name, in characters; longer ones are cut. An index row takes 2,700 bytes at most.
MAX_NAME: Final = 255
#: Longest stored qualified name of a parent, in characters: deep nesting would make these grow with its square.
MAX_PARENT: Final = 500
#: Imports kept of one file; what has more is generated.
MAX_IMPORTS: Final = 2000


class Symbol(NamedTuple):
    """One definition. Lines and columns count from 1, the last ones included, columns in characters."""

    name: str
    kind: str
    first_line: int
    last_line: int
    #: One line, without the body.
    signature: str
    #: Qualified name of what is around it; None: the file.
    parent: str | None
    first_column: int = 1
    last_column: int = 1
    #: Of the stored content, the end not included; None where that is not UTF-8.
    first_byte: int | None = None
    end_byte: int | None = None
    #: Docstring or the comment in front of it, without its marks; the beginning, when it is long.
    doc: str | None = None
    #: Whether other files can use it, as far as its declaration says.
    exported: bool | None = None


class Import(NamedTuple):
    """What a file wants of another one."""

    line: int
    #: As the source says it.
    target: str
    #: What the path of the other one ends with, in the form of ``modules.module_of``; None: it is in no file here.
    module: str | None = None
    #: None: anywhere. 0 and more: exactly so many directories up from here. -1: ``module`` ends with that of the file.
    up: int | None = None


class Found(NamedTuple):
    """A definition as a rule sees it: a symbol, and the scope of what is inside it."""

    name: str
    kind: str
    #: False: only a scope, such as Rust's ``impl Name``.
    is_symbol: bool = True
    #: Where the definition itself begins, behind annotations; None: where the node does.
    start: Node | None = None
    #: Said in the name or beside it (``Foo::bar``, a Go receiver); None: what encloses it.
    parent: str | None = None
    #: None: as the language's ``exported`` says.
    exported: bool | None = None
    #: Whether what is inside is visible until something else is said, as ``private:`` does.
    members_exported: bool = True
    #: What it is the name of, where that could have one itself: ``const name = function other() {}``.
    value: Node | None = None
    #: The scope of all that follows, not of what is inside: ``namespace A;``.
    holds_rest: bool = False


class Export(NamedTuple):
    """A name that is exported apart from its definition: ``export { name }``."""

    name: str


class Visibility(NamedTuple):
    """Whether the members behind it can be used elsewhere: ``private:``."""

    exported: bool


class Scope:
    """What is around a node."""

    __slots__ = ("depth", "exported", "kind", "members_exported", "qualified")

    def __init__(self, depth: int, qualified: str, kind: str, exported: bool, members_exported: bool) -> None:
        self.depth = depth
        self.qualified = qualified
        self.kind = kind
        self.exported = exported
        self.members_exported = members_exported


#: The source of a node; empty for None. ``Node.text`` must not be used: it crashes on trees parsed through a callback.
Text = Callable[["Node | None"], str]

#: A node, the kind of the scope it is in (None: the file), how to get text -> what the node defines or imports.
Rule = Callable[["Node", "str | None", Text], "Iterable[Found | Import | Export | Visibility]"]

#: One that finds definitions only.
Definer = Callable[["Node", "str | None", Text], "Iterable[Found]"]

#: A node, what it defines, the kind of the scope it is in, whether an ``export`` is around it, how to get text.
IsExported = Callable[["Node", Found, "str | None", bool, Text], bool]


def always(_node: Node, _found: Found, _scope: str | None, _in_export: bool, _text: Text) -> bool:
    """Of languages in which everything can be used elsewhere."""
    return True


class Grammatical(NamedTuple):
    """How one language's trees are read. Sets are names of nodes."""

    grammar: Callable[[], object]
    rules: Mapping[str, Rule]
    #: To look into; they define nothing themselves.
    descend: frozenset[str]
    #: Between the parts of a qualified name.
    separator: str = "."
    comments: frozenset[str] = frozenset({"comment"})
    #: What may stand between a comment and its definition: attributes that are no part of it.
    between: frozenset[str] = frozenset()
    #: To look into, and a comment in front of one belongs to the definition in it.
    wrappers: frozenset[str] = frozenset()
    #: To look into; what is defined directly in one is exported.
    exporters: frozenset[str] = frozenset()
    exported: IsExported = always
    #: A body -> the string in it that is its documentation.
    docstring: Callable[[Node], Node | None] | None = None
    #: Source, whether there are errors in its tree -> one of the same length that may be read better, with everything
    #: in its place; None where there is nothing to mend.
    mend: Callable[[bytes, bool], bytes | None] | None = None
    #: UTF-8 source, most symbols -> the same rows without a tree, where that is possible and quicker; None where not.
    scan: Callable[[bytes, int], tuple[Sequence[Symbol], Sequence[Import]] | None] | None = None
