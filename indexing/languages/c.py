"""C: functions with a body, structs, unions, enums and their constants, types, macros. Prototypes define nothing."""

from __future__ import annotations

from collections.abc import Iterable

import tree_sitter_c
from tree_sitter import Node

from indexing.found import Definer, Found, Grammatical, Import, Rule, Text
from indexing.languages import c_macros
from indexing.languages.imports import from_path
from indexing.languages.rules import named, node_types

#: What can stand around the name that a declaration declares: pointers, arrays, parameters, attributes.
_AROUND_A_NAME = node_types(
    """
    pointer_declarator function_declarator array_declarator parenthesized_declarator
    reference_declarator attributed_declarator init_declarator
    """
)


def declared_name(node: Node) -> Node | None:
    """The innermost name of a declarator: ``f`` of ``*(*f(int))[3]``."""
    inner: Node | None = node
    while inner is not None and inner.type in _AROUND_A_NAME:
        inner = inner.child_by_field_name("declarator") or next(
            (child for child in inner.named_children if child.type.endswith(("declarator", "identifier"))), None
        )
    return inner


def tagged(kind: str) -> Definer:
    """A struct, union, enum or class where it is defined, not where it is used."""

    def rule(node: Node, _scope: str | None, text: Text) -> Iterable[Found]:
        name = node.child_by_field_name("name")
        return () if name is None or node.child_by_field_name("body") is None else (Found(text(name), kind),)

    return rule


def typedef(node: Node, _scope: str | None, text: Text) -> Iterable[Found]:
    """``typedef struct {...} Name, *NamePointer;``."""
    names = (declared_name(each) for each in node.children_by_field_name("declarator"))
    return [Found(text(name), "type") for name in names if name is not None]


def _function(node: Node, _scope: str | None, text: Text) -> Iterable[Found]:
    declarator = node.child_by_field_name("declarator")
    name = declared_name(declarator) if declarator is not None else None
    return () if name is None else (Found(text(name), "function"),)


def _include(node: Node, _scope: str | None, text: Text) -> Iterable[Import]:
    """Of either kind: where the compiler looks is not known here, the path that it looks for is."""
    return from_path(node, text(node.child_by_field_name("path")).strip('<>" \t'))


def is_exported(node: Node, found: Found, _scope: str | None, _in_export: bool, text: Text) -> bool:
    """What the linker sees; of types and macros there is nothing to tell."""
    if found.kind not in ("function", "method"):
        return True
    return not any(child.type == "storage_class_specifier" and text(child) == "static" for child in node.children[:4])


RULES: dict[str, Rule] = {
    "function_definition": _function,
    "struct_specifier": tagged("struct"),
    "union_specifier": tagged("struct"),
    "enum_specifier": tagged("enum"),
    "enumerator": named("constant"),
    "type_definition": typedef,
    "preproc_def": named("macro"),
    "preproc_function_def": named("macro"),
    "preproc_include": _include,
}
DESCEND = node_types(
    """
    translation_unit preproc_if preproc_ifdef preproc_elif preproc_elifdef preproc_else
    linkage_specification declaration_list field_declaration_list field_declaration enumerator_list
    """
)
WRAPPERS = frozenset({"declaration"})

GRAMMATICAL = Grammatical(
    grammar=tree_sitter_c.language,
    rules=RULES,
    descend=DESCEND,
    separator="::",
    wrappers=WRAPPERS,
    exported=is_exported,
    mend=c_macros.of_c,
)
