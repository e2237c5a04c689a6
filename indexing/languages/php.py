"""PHP: classes, interfaces, traits, enums and their cases, functions, methods, constants."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import tree_sitter_php
from tree_sitter import Node

from indexing.found import Found, Grammatical, Import, Text
from indexing.languages.imports import from_path, imported, string_in
from indexing.languages.rules import first_child, named, node_types

_CLASSES = frozenset({"class", "interface", "trait", "enum"})


def _namespace(node: Node, _scope: str | None, text: Text) -> Iterable[Found]:
    """``namespace A\\B { ... }``, or without a body: until the next one."""
    parent, _, name = text(node.child_by_field_name("name")).rpartition("\\")
    holds_rest = node.child_by_field_name("body") is None
    return (Found(name, "namespace", parent=parent or None, holds_rest=holds_rest),)


def _closure(node: Node, _scope: str | None, text: Text) -> Iterable[Found]:
    """``$double = function ($x) { ... }``, ``$double = fn ($x) => ...``"""
    left, right = node.child_by_field_name("left"), node.child_by_field_name("right")
    if left is None or right is None or right.type not in ("anonymous_function", "arrow_function"):
        return ()
    return (Found(text(left)[1:], "function"),) if left.type == "variable_name" else ()


def _constants(node: Node, _scope: str | None, text: Text) -> Iterable[Found]:
    elements = (each for each in node.named_children if each.type == "const_element")
    return [Found(text(first_child(each)), "constant") for each in elements]


def _define(node: Node, _scope: str | None, text: Text) -> Iterable[Found]:
    """``define('NAME', value)``."""
    function, arguments = node.child_by_field_name("function"), node.child_by_field_name("arguments")
    if function is None or arguments is None or text(function) != "define":
        return ()
    first = first_child(arguments)
    name = string_in(first_child(first), text) if first is not None else None
    return () if name is None else (Found(name, "constant"),)


def _use(node: Node, _scope: str | None, text: Text) -> Iterator[Import]:
    """``use A\\B\\C``, ``use A\\{B, C}``: by convention the file ends with all but the first part."""
    group = node.child_by_field_name("body")
    prefix = next((text(each) + "\\" for each in node.named_children if each.type == "namespace_name"), "")
    for clause in (group or node).named_children:
        if clause.type == "namespace_use_clause":
            target = (prefix if group is not None else "") + text(first_child(clause)).lstrip("\\")
            parts = target.split("\\")
            yield from imported(node, target, parts[1:] or None)


def _include(node: Node, _scope: str | None, text: Text) -> Iterator[Import]:
    """``require 'a/b.php'``, ``require __DIR__ . '/b.php'``."""
    inner = first_child(node)
    while inner is not None and inner.type in ("parenthesized_expression", "binary_expression"):
        inner = inner.child_by_field_name("right") or first_child(inner)
    path = string_in(inner, text)
    if path is not None:
        yield from from_path(node, path, suffix=".php")


def _is_exported(node: Node, _found: Found, scope: str | None, _in_export: bool, text: Text) -> bool:
    if scope not in _CLASSES:
        return True
    visibility = next((text(child) for child in node.children if child.type == "visibility_modifier"), "public")
    return visibility != "private"


GRAMMATICAL = Grammatical(
    grammar=tree_sitter_php.language_php,
    rules={
        "namespace_definition": _namespace,
        "class_declaration": named("class"),
        "interface_declaration": named("interface"),
        "trait_declaration": named("trait"),
        "enum_declaration": named("enum"),
        "enum_case": named("constant"),
        "method_declaration": named("method"),
        "function_definition": named("function"),
        "assignment_expression": _closure,
        "const_declaration": _constants,
        "function_call_expression": _define,
        "namespace_use_declaration": _use,
        **dict.fromkeys(
            ("require_expression", "require_once_expression", "include_expression", "include_once_expression"), _include
        ),
    },
    descend=node_types(
        """
    program declaration_list enum_declaration_list compound_statement expression_statement if_statement else_clause
    else_if_clause colon_block for_statement foreach_statement while_statement try_statement catch_clause finally_clause
    switch_statement switch_block case_statement object_creation_expression anonymous_class
    return_statement arguments argument anonymous_function arrow_function member_call_expression
    nullsafe_member_call_expression scoped_call_expression array_creation_expression array_element_initializer
    parenthesized_expression yield_expression throw_expression conditional_expression binary_expression
    """
    ),
    separator="\\",
    between=frozenset({"attribute_list"}),
    exported=_is_exported,
)
