"""Python: functions, methods, classes, type aliases, and constants of modules and classes."""

from __future__ import annotations

from collections.abc import Iterable

import tree_sitter_python
from tree_sitter import Node

from indexing.extract import Found, Grammatical, Text
from indexing.languages.rules import function_or_method, is_constant_name, named, node_types


def _constant(node: Node, scope: str | None, text: Text) -> Iterable[Found]:
    left = node.child_by_field_name("left")
    if left is None or left.type != "identifier" or scope not in (None, "class"):
        return ()
    name = text(left)
    return (Found(name, "constant"),) if is_constant_name(name) else ()


def _type_alias(node: Node, _scope: str | None, text: Text) -> Iterable[Found]:
    left = node.child_by_field_name("left")
    return () if left is None else (Found(text(left).partition("[")[0].strip(), "type"),)


GRAMMATICAL = Grammatical(
    grammar=tree_sitter_python.language,
    rules={
        "function_definition": function_or_method(frozenset({"class"})),
        "class_definition": named("class"),
        "assignment": _constant,
        "type_alias_statement": _type_alias,
    },
    descend=node_types(
        """
    module block decorated_definition expression_statement if_statement elif_clause else_clause
    try_statement except_clause except_group_clause finally_clause with_statement for_statement
    while_statement match_statement case_clause
    """
    ),
)
