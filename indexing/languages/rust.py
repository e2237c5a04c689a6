"""Rust: functions, methods under the type of their impl, types, traits, modules, constants, macros."""

from __future__ import annotations

from collections.abc import Iterable

import tree_sitter_rust
from tree_sitter import Node

from indexing.extract import Found, Grammatical, Text
from indexing.languages.rules import function_or_method, named, node_types


def _impl(node: Node, _scope: str | None, text: Text) -> Iterable[Found]:
    """``impl Trait for Name<T>`` opens the scope ``Name``."""
    of_type = node.child_by_field_name("type")
    while of_type is not None and of_type.type in ("generic_type", "reference_type"):
        of_type = of_type.child_by_field_name("type")
    return (Found(text(of_type), "impl", is_symbol=False),)


_function = function_or_method(frozenset({"impl", "trait"}))


GRAMMATICAL = Grammatical(
    grammar=tree_sitter_rust.language,
    rules={
        "function_item": _function,
        "function_signature_item": _function,
        "struct_item": named("struct"),
        "union_item": named("struct"),
        "enum_item": named("enum"),
        "trait_item": named("trait"),
        "type_item": named("type"),
        "associated_type": named("type"),
        "mod_item": named("module"),
        "const_item": named("constant"),
        "static_item": named("constant"),
        "macro_definition": named("macro"),
        "impl_item": _impl,
    },
    descend=node_types(
        """
    source_file declaration_list foreign_mod_item block expression_statement unsafe_block if_expression
    match_expression match_block match_arm loop_expression while_expression for_expression
    """
    ),
    separator="::",
)
