"""C#: types of all kinds, methods, constructors, properties, events, constants, local functions."""

from __future__ import annotations

from collections.abc import Iterable

import tree_sitter_c_sharp
from tree_sitter import Node

from indexing.found import Found, Grammatical, Import, Rule, Text
from indexing.languages.imports import imported
from indexing.languages.rules import node_types, qualified

_namespace = qualified("namespace", ".")


def _start(node: Node) -> Node:
    """Where a declaration begins behind its attributes, which are inside the node."""
    return next((child for child in node.children if child.type not in ("attribute_list", "comment")), node)


def _declared(kind: str, prefix: str = "") -> Rule:
    def rule(node: Node, _scope: str | None, text: Text) -> Iterable[Found]:
        name = text(node.child_by_field_name("name"))
        return (Found(prefix + name, kind, start=_start(node)),) if name else ()

    return rule


def _rest_of_file(node: Node, scope: str | None, text: Text) -> Iterable[Found]:
    """``namespace A.B;``"""
    return [found._replace(holds_rest=True) for found in _namespace(node, scope, text)]


def _operator(node: Node, _scope: str | None, text: Text) -> Iterable[Found]:
    operator = node.child_by_field_name("operator")
    sign = text(operator) if operator is not None else text(node.child_by_field_name("type"))
    return (Found(f"operator {sign}", "method", start=_start(node)),)


def _indexer(node: Node, _scope: str | None, _text: Text) -> Iterable[Found]:
    return (Found("this[]", "property", start=_start(node)),)


def _fields(kind: str, *, only_constants: bool) -> Rule:
    def rule(node: Node, _scope: str | None, text: Text) -> Iterable[Found]:
        words = {text(child) for child in node.children if child.type == "modifier"}
        if only_constants and "const" not in words and not {"static", "readonly"} <= words:
            return ()
        declaration = next((child for child in node.children if child.type == "variable_declaration"), None)
        names = (
            [each for each in declaration.named_children if each.type == "variable_declarator"] if declaration else []
        )
        return [Found(text(each.child_by_field_name("name")), kind, start=_start(node)) for each in names]

    return rule


def _using(node: Node, _scope: str | None, text: Text) -> Iterable[Import]:
    """A namespace is in any number of files: none of them is meant."""
    last = next(
        (child for child in reversed(node.named_children) if "name" in child.type or child.type == "identifier"), None
    )
    return imported(node, text(last), None)


def _is_exported(node: Node, _found: Found, scope: str | None, _in_export: bool, text: Text) -> bool:
    if scope in ("interface", "enum"):
        return True
    words = {text(child) for child in node.children if child.type == "modifier"}
    return bool(words & {"public", "protected"}) or node.type.endswith("namespace_declaration")


GRAMMATICAL = Grammatical(
    grammar=tree_sitter_c_sharp.language,
    rules={
        "namespace_declaration": _namespace,
        "file_scoped_namespace_declaration": _rest_of_file,
        "class_declaration": _declared("class"),
        "record_declaration": _declared("class"),
        "struct_declaration": _declared("struct"),
        "interface_declaration": _declared("interface"),
        "enum_declaration": _declared("enum"),
        "enum_member_declaration": _declared("constant"),
        "delegate_declaration": _declared("type"),
        "method_declaration": _declared("method"),
        "constructor_declaration": _declared("method"),
        "destructor_declaration": _declared("method", "~"),
        "operator_declaration": _operator,
        "conversion_operator_declaration": _operator,
        "indexer_declaration": _indexer,
        "property_declaration": _declared("property"),
        "event_declaration": _declared("property"),
        "event_field_declaration": _fields("property", only_constants=False),
        "field_declaration": _fields("constant", only_constants=True),
        "local_function_statement": _declared("function"),
        "using_directive": _using,
    },
    descend=node_types(
        """
    compilation_unit declaration_list enum_member_declaration_list block if_statement for_statement
    foreach_statement while_statement try_statement using_statement preproc_if preproc_else preproc_elif
    global_statement
    """
    ),
    exported=_is_exported,
)
