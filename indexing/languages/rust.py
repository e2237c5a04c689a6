"""Rust: functions, methods under the type of their impl, types, traits, modules, constants, macros."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import tree_sitter_rust
from tree_sitter import Node

from indexing.found import Found, Grammatical, Import, Text
from indexing.languages.imports import imported
from indexing.languages.rules import function_or_method, named, node_types


def _impl(node: Node, _scope: str | None, text: Text) -> Iterable[Found]:
    """``impl Trait for Name<T>`` opens the scope ``Name``."""
    of_type = node.child_by_field_name("type")
    while of_type is not None and of_type.type in ("generic_type", "reference_type"):
        of_type = of_type.child_by_field_name("type")
    kind = "impl" if node.child_by_field_name("trait") is None else "trait_impl"
    return (Found(text(of_type), kind, is_symbol=False),)


_function = function_or_method(frozenset({"impl", "trait", "trait_impl"}))
#: The parts of a path that name no file.
_FIRST = {"crate": None, "self": 0, "super": 1}


def _module(node: Node, _scope: str | None, text: Text) -> Iterable[Found | Import]:
    """``mod name { ... }``, and ``mod name;``, whose file is beside this one or below it."""
    name = text(node.child_by_field_name("name"))
    found = Found(name, "module")
    if node.child_by_field_name("body") is not None:
        return (found,)
    return (found, *imported(node, f"mod {name}", [name], 0))


def _use(node: Node, _scope: str | None, text: Text) -> Iterator[Import]:
    """``use crate::a::b::{c, d}``: the files ``a/b`` and ``a``, whichever is one. Other crates are in no file here."""
    target = "".join(text(node.child_by_field_name("argument")).split())
    path = [part for part in target.partition("{")[0].partition(" as ")[0].split("::") if part not in ("", "*")]
    if not path or path[0] not in _FIRST:
        yield from imported(node, target, None)
        return
    up = _FIRST[path[0]]
    parts = path[1:]
    while parts[:1] == ["super"]:
        up, parts = (up or 0) + 1, parts[1:]
    if parts and not parts[-1].islower():
        parts = parts[:-1]
    for length in (len(parts), len(parts) - 1):
        if length > 0:
            yield from imported(node, target, parts[:length], up)


def _is_exported(node: Node, _found: Found, scope: str | None, _in_export: bool, _text: Text) -> bool:
    if scope in ("trait", "trait_impl"):
        return True
    return any(child.type == "visibility_modifier" for child in node.children[:3])


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
        "mod_item": _module,
        "use_declaration": _use,
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
    comments=frozenset({"line_comment", "block_comment"}),
    between=frozenset({"attribute_item"}),
    exported=_is_exported,
)
