"""Rules that several languages share: a node -> what it defines."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from indexing.found import Definer, Found, Text

if TYPE_CHECKING:
    from tree_sitter import Node

_CONSTANT_NAME = re.compile(r"^[A-Z][A-Z0-9_]*$")


def node_types(words: str) -> frozenset[str]:
    """Names of nodes, as many on a line as fit."""
    return frozenset(words.split())


def first_child(node: Node | None) -> Node | None:
    """The first named child; None when there is none."""
    return node.named_child(0) if node is not None and node.named_child_count else None


def named(kind: str, field: str = "name") -> Definer:
    """The node's name is in a field of it."""

    def rule(node: Node, _scope: str | None, text: Text) -> Iterable[Found]:
        name = node.child_by_field_name(field)
        return () if name is None else (Found(text(name), kind),)

    return rule


def function_or_method(class_kinds: frozenset[str], field: str = "name") -> Definer:
    """A function, or a method when it stands directly in one of these kinds."""

    def rule(node: Node, scope: str | None, text: Text) -> Iterable[Found]:
        name = node.child_by_field_name(field)
        return () if name is None else (Found(text(name), "method" if scope in class_kinds else "function"),)

    return rule


def qualified(kind: str, separator: str) -> Definer:
    """A name that may say its parents itself: ``namespace a::b``, ``class A::B``, ``namespace A.B``."""

    def rule(node: Node, _scope: str | None, text: Text) -> Iterable[Found]:
        parent, _, name = text(node.child_by_field_name("name")).strip("'\"").rpartition(separator)
        return (Found(name, kind, parent=parent or None),)

    return rule


def is_constant_name(name: str) -> bool:
    """Written as constants are: ``MAX_SIZE``."""
    return _CONSTANT_NAME.match(name) is not None
