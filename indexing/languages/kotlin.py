"""Kotlin: classes, objects, interfaces, enum entries, functions, properties of the top and of classes, aliases."""

from __future__ import annotations

import re
from collections.abc import Iterable

import tree_sitter_kotlin
from tree_sitter import Node

from indexing.found import Found, Grammatical, Import, Text
from indexing.languages.imports import imported
from indexing.languages.java import class_import
from indexing.languages.rules import first_child, node_types

#: Comments, texts and characters, up to the end of the source where they do not end.
_NO_CODE = re.compile(
    rb"//[^\n]*+|/\*.*?(?:\*/|\Z)|\"\"\".*?(?:\"\"\"|\Z)|\"(?:\\.|[^\"\\\n])*+\"?|'(?:\\.|[^'\\\n])[^'\n]{0,5}'",
    re.DOTALL,
)
_NOT_BLANK = re.compile(rb"\S")
#: ``{ fun f() = 1 }``: the grammar wants a line's end, or a semicolon, behind what is in a body.
_END_ON_A_LINE = re.compile(rb"(?<![\s{;,])(?<!->)[ \t]++\}")
#: ``class Name @Inject constructor(``, on lines of their own too, and ``fun interface``.
_CONSTRUCTOR = re.compile(
    rb"\bclass\s+\w++(?:<[^{}()]{0,200}>)?(?P<extra>(?:\s++@[\w.]++(?:\([^()]*+\))?)+)"
    rb"(?=\s+(?:(?:private|internal|protected|public)\s+)?constructor\b)"
)
_FUN_INTERFACE = re.compile(rb"\b(?P<extra>fun)\s+interface\b")
#: Read as ``annotation infix class`` here and there, without an error.
_ANNOTATION = re.compile(rb"\b(?P<extra>annotation)\s+class\b")

_CLASSES = frozenset({"class", "interface", "enum", "object"})


def _start(node: Node) -> Node:
    """Where a declaration begins behind its annotations, which are inside the node."""
    for child in node.children:
        if child.type != "modifiers":
            return child
        for modifier in child.children:
            if modifier.type != "annotation":
                return modifier
    return node


def _name_of(node: Node, text: Text) -> str:
    name = node.child_by_field_name("name") or next((each for each in node.children if each.type == "identifier"), None)
    return text(name).strip("`")


def _modifiers(node: Node, text: Text) -> set[str]:
    modifiers = next((child for child in node.children if child.type == "modifiers"), None)
    return set(text(modifiers).split()) if modifiers is not None else set()


def _class(node: Node, _scope: str | None, text: Text) -> Iterable[Found]:
    kind = "class"
    if any(child.type == "interface" for child in node.children):
        kind = "interface"
    elif "enum" in _modifiers(node, text):
        kind = "enum"
    return (Found(_name_of(node, text), kind, start=_start(node)),)


def _object(node: Node, _scope: str | None, text: Text) -> Iterable[Found]:
    return (Found(_name_of(node, text) or "Companion", "object", start=_start(node)),)


def _function(node: Node, scope: str | None, text: Text) -> Iterable[Found]:
    return (Found(_name_of(node, text), "method" if scope in _CLASSES else "function", start=_start(node)),)


def _constructor(node: Node, _scope: str | None, _text: Text) -> Iterable[Found]:
    return (Found("constructor", "method", start=_start(node)),)


def _property(node: Node, scope: str | None, text: Text) -> Iterable[Found]:
    if scope is not None and scope not in _CLASSES:
        return ()
    declaration = next((child for child in node.children if child.type == "variable_declaration"), None)
    kind = "constant" if "const" in _modifiers(node, text) else "property"
    return () if declaration is None else (Found(text(first_child(declaration)).strip("`"), kind, start=_start(node)),)


def _alias(node: Node, _scope: str | None, text: Text) -> Iterable[Found]:
    name = node.child_by_field_name("type") or next((each for each in node.children if each.type == "identifier"), None)
    return (Found(text(name), "type", start=_start(node)),)


def _import(node: Node, _scope: str | None, text: Text) -> Iterable[Import]:
    path = text(first_child(node))
    if text(node).rstrip().endswith("*"):
        return imported(node, path + ".*", None)
    return class_import(node, path, is_whole=True)


def _is_exported(node: Node, _found: Found, _scope: str | None, _in_export: bool, text: Text) -> bool:
    return "private" not in _modifiers(node, text)


def _mended(source: bytes, has_errors: bool) -> bytes | None:
    """A source that was not read whole, with blanks or semicolons for what the grammar does not know."""
    if not has_errors and _ANNOTATION.search(source) is None:
        return None
    code = _NO_CODE.sub(lambda match: _NOT_BLANK.sub(b" ", match[0]), source)
    mended = bytearray(source)
    for match in _END_ON_A_LINE.finditer(source):
        if code[match.end() - 1 : match.end()] == b"}":
            mended[match.end() - 2 : match.end() - 1] = b";"
    for pattern in (_CONSTRUCTOR, _FUN_INTERFACE, _ANNOTATION):
        for match in pattern.finditer(code):
            start, end = match.span("extra")
            mended[start:end] = _NOT_BLANK.sub(b" ", source[start:end])
    return bytes(mended) if mended != source else None


GRAMMATICAL = Grammatical(
    grammar=tree_sitter_kotlin.language,
    rules={
        "class_declaration": _class,
        "object_declaration": _object,
        "companion_object": _object,
        "enum_entry": lambda node, _scope, text: (Found(_name_of(node, text), "constant"),),
        "function_declaration": _function,
        "secondary_constructor": _constructor,
        "property_declaration": _property,
        "type_alias": _alias,
        "import": _import,
    },
    # Objects without a name hide in expressions, and behind ``by`` a body is one to the grammar.
    descend=node_types(
        """
    source_file class_body enum_class_body block function_body statements import_list object_literal getter setter
    return_expression call_expression value_arguments value_argument lambda_literal annotated_lambda
    anonymous_initializer assignment binary_expression infix_expression navigation_expression
    parenthesized_expression as_expression throw_expression labeled_expression anonymous_function
    if_expression when_expression when_entry try_expression catch_block finally_block for_statement while_statement
    do_while_statement property_delegate delegation_specifiers delegation_specifier explicit_delegation
    constructor_invocation constructor_delegation_call
    """
    ),
    comments=frozenset({"line_comment", "block_comment", "multiline_comment"}),
    exported=_is_exported,
    mend=_mended,
)
