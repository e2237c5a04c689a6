"""Go: functions, methods under their receiver, types, interface methods, constants."""

from __future__ import annotations

from collections.abc import Iterable

import tree_sitter_go
from tree_sitter import Node

from indexing.found import Found, Grammatical, Import, Text
from indexing.languages.imports import imported, string_in
from indexing.languages.rules import named, node_types

_TYPE_KINDS = {"struct_type": "struct", "interface_type": "interface"}


def _type(node: Node, _scope: str | None, text: Text) -> Iterable[Found]:
    definition = node.child_by_field_name("type")
    kind = _TYPE_KINDS.get(definition.type, "type") if definition is not None else "type"
    return (Found(text(node.child_by_field_name("name")), kind),)


def _method(node: Node, _scope: str | None, text: Text) -> Iterable[Found]:
    return (Found(text(node.child_by_field_name("name")), "method", parent=_receiver(node, text)),)


def _receiver(node: Node, text: Text) -> str | None:
    """``Server`` of ``func (s *Server[T]) Run()``."""
    receiver = node.child_by_field_name("receiver")
    parameter = next(iter(receiver.named_children), None) if receiver is not None else None
    of_type = parameter.child_by_field_name("type") if parameter is not None else None
    while of_type is not None and of_type.type in ("pointer_type", "parenthesized_type", "generic_type"):
        of_type = of_type.child_by_field_name("type") or next(iter(of_type.named_children), None)
    return text(of_type) or None


def _constants(node: Node, scope: str | None, text: Text) -> Iterable[Found]:
    if scope is not None:
        return ()
    names = (text(name) for name in node.children_by_field_name("name") if name.type == "identifier")
    return [Found(name, "constant") for name in names if name != "_"]


def _import(node: Node, _scope: str | None, text: Text) -> Iterable[Import]:
    """A package of this module has a path that ends with its directory; those of the standard library have none."""
    path = string_in(node.child_by_field_name("path"), text) or ""
    return imported(node, path, path.split("/") if "/" in path else None, -1)


def _is_exported(_node: Node, found: Found, _scope: str | None, _in_export: bool, _text: Text) -> bool:
    return found.name[:1].isupper()


GRAMMATICAL = Grammatical(
    grammar=tree_sitter_go.language,
    rules={
        "function_declaration": named("function"),
        "method_declaration": _method,
        "method_elem": named("method"),
        "type_spec": _type,
        "type_alias": named("type"),
        "const_spec": _constants,
        "import_spec": _import,
    },
    descend=node_types(
        """
    source_file interface_type block statement_list if_statement for_statement import_declaration
    import_spec_list
    """
    ),
    wrappers=frozenset({"type_declaration", "const_declaration"}),
    exported=_is_exported,
)
