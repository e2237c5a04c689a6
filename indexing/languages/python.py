"""Python: functions, methods, classes, type aliases, and constants of modules and classes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import tree_sitter_python
from tree_sitter import Node

from indexing.found import Found, Grammatical, Import, Text
from indexing.languages.python_names import imports_from, imports_of, is_exported
from indexing.languages.python_scanner import scan
from indexing.languages.rules import first_child, function_or_method, is_constant_name, named, node_types


def _assignment(node: Node, scope: str | None, text: Text) -> Iterable[Found]:
    """``LIMIT = 3``, ``double = lambda x: 2 * x``."""
    left = node.child_by_field_name("left")
    if left is None or left.type != "identifier":
        return ()
    right = node.child_by_field_name("right")
    if right is not None and right.type == "lambda":
        return (Found(text(left), "method" if scope == "class" else "function"),)
    if scope not in (None, "class"):
        return ()
    name = text(left)
    return (Found(name, "constant"),) if is_constant_name(name) else ()


def _type_alias(node: Node, _scope: str | None, text: Text) -> Iterable[Found]:
    left = node.child_by_field_name("left")
    name = text(left).partition("[")[0].strip()
    # To the grammar, ``type(self).name = value`` is one as well.
    return (Found(name, "type"),) if name.isidentifier() else ()


def _import(node: Node, _scope: str | None, text: Text) -> Iterator[Import]:
    return imports_of(node.start_point.row + 1, _names(node, text))


def _import_from(node: Node, _scope: str | None, text: Text) -> Iterator[Import]:
    return imports_from(node.start_point.row + 1, text(node.child_by_field_name("module_name")), _names(node, text))


def _names(node: Node, text: Text) -> Iterator[str]:
    for each in node.children_by_field_name("name"):
        yield text(each.child_by_field_name("name") if each.type == "aliased_import" else each)


def _is_exported(_node: Node, found: Found, _scope: str | None, _in_export: bool, _text: Text) -> bool:
    return is_exported(found.name)


def _docstring(body: Node) -> Node | None:
    first = first_child(body)
    if first is None or first.type != "expression_statement":
        return None
    string = first_child(first)
    return string if string is not None and string.type == "string" else None


GRAMMATICAL = Grammatical(
    grammar=tree_sitter_python.language,
    rules={
        "function_definition": function_or_method(frozenset({"class"})),
        "class_definition": named("class"),
        "assignment": _assignment,
        "type_alias_statement": _type_alias,
        "import_statement": _import,
        "import_from_statement": _import_from,
    },
    descend=node_types(
        """
    module block expression_statement if_statement elif_clause else_clause
    try_statement except_clause except_group_clause finally_clause with_statement for_statement
    while_statement match_statement case_clause
    """
    ),
    wrappers=frozenset({"decorated_definition"}),
    exported=_is_exported,
    docstring=_docstring,
    scan=scan,
)
