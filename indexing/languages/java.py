"""Java: classes, records, interfaces, enums and their constants, annotations, methods, constants of classes."""

from __future__ import annotations

from collections.abc import Iterable

import tree_sitter_java
from tree_sitter import Node

from indexing.found import Found, Grammatical, Import, Rule, Text
from indexing.languages.imports import imported
from indexing.languages.rules import first_child, is_constant_name, named, node_types

_ANNOTATIONS = frozenset({"annotation", "marker_annotation"})


def _start(node: Node) -> Node:
    """Where a declaration begins behind its annotations, which are inside the node."""
    for child in node.children:
        if child.type != "modifiers":
            return child
        for modifier in child.children:
            if modifier.type not in _ANNOTATIONS:
                return modifier
    return node


def _declared(kind: str) -> Rule:
    def rule(node: Node, _scope: str | None, text: Text) -> Iterable[Found]:
        return (Found(text(node.child_by_field_name("name")), kind, start=_start(node)),)

    return rule


def _fields(node: Node, _scope: str | None, text: Text) -> Iterable[Found]:
    names = (text(each.child_by_field_name("name")) for each in node.children_by_field_name("declarator"))
    return [Found(name, "constant", start=_start(node)) for name in names if is_constant_name(name)]


def _import(node: Node, _scope: str | None, text: Text) -> Iterable[Import]:
    """``import a.b.C``, ``import static a.b.C.method``: the file is named by the first class."""
    path = first_child(node)
    return class_import(node, text(path), is_whole=not any(each.type == "asterisk" for each in node.children))


def class_import(node: Node, target: str, *, is_whole: bool) -> Iterable[Import]:
    """An import of a class, or of something in one; ``is_whole``: not of everything in a package."""
    parts = target.split(".")
    ends = [number for number, part in enumerate(parts, 1) if part[:1].isupper()]
    if not is_whole:
        target += ".*"
    return imported(node, target, parts[: ends[0]] if ends else None)


def _is_exported(node: Node, _found: Found, scope: str | None, _in_export: bool, text: Text) -> bool:
    if scope == "interface":
        return True
    modifiers = next((child for child in node.children if child.type == "modifiers"), None)
    words = {text(child) for child in modifiers.children} if modifiers is not None else set()
    return bool(words & {"public", "protected"}) or node.type == "enum_constant"


GRAMMATICAL = Grammatical(
    grammar=tree_sitter_java.language,
    rules={
        "class_declaration": _declared("class"),
        "record_declaration": _declared("class"),
        "interface_declaration": _declared("interface"),
        "annotation_type_declaration": _declared("interface"),
        "enum_declaration": _declared("enum"),
        "enum_constant": _declared("constant"),
        "method_declaration": _declared("method"),
        "constructor_declaration": _declared("method"),
        "compact_constructor_declaration": _declared("method"),
        "annotation_type_element_declaration": _declared("method"),
        "field_declaration": _fields,
        "constant_declaration": _fields,
        "module_declaration": named("module"),
        "import_declaration": _import,
    },
    # Anonymous classes hide in expressions.
    descend=node_types(
        """
    program class_body interface_body annotation_type_body enum_body enum_body_declarations block
    constructor_body static_initializer local_variable_declaration variable_declarator
    expression_statement assignment_expression method_invocation argument_list
    object_creation_expression lambda_expression return_statement parenthesized_expression
    cast_expression ternary_expression array_initializer if_statement for_statement
    enhanced_for_statement while_statement do_statement try_statement try_with_resources_statement
    catch_clause finally_clause synchronized_statement switch_expression switch_block
    switch_block_statement_group switch_rule throw_statement labeled_statement
    """
    ),
    comments=frozenset({"line_comment", "block_comment"}),
    exported=_is_exported,
)
