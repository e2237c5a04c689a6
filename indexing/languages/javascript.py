"""JavaScript and JSX: functions also where they are values, methods, classes, and constants of the module."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import tree_sitter_javascript
from tree_sitter import Node

from indexing.found import Export, Found, Grammatical, Import, Rule, Text
from indexing.languages.imports import from_script, string_in
from indexing.languages.rules import first_child, is_constant_name, named, node_types

_FUNCTION_VALUES = frozenset({"arrow_function", "function_expression", "generator_function"})
#: How many brackets and calls are looked into for a function, and how many names one gets in ``a = b = function ...``.
_MOST_AROUND = 8
#: A name in quotes is still a name, and so is ``[Symbol.iterator]``; what has to be computed is none.
_NAMES = frozenset({"identifier", "property_identifier", "private_property_identifier", "string", "type_identifier"})


def _function_in(value: Node | None, text: Text) -> Node | None:
    """The function or class that is a value, also in brackets and bound: ``(function () {}.bind(this))``."""
    for _ in range(_MOST_AROUND):
        if value is None or value.type in _FUNCTION_VALUES or value.type == "class":
            return value
        if value.type == "parenthesized_expression":
            value = first_child(value)
        elif value.type == "call_expression":
            called = value.child_by_field_name("function")
            if called is None or text(called.child_by_field_name("property")) != "bind":
                return None
            value = called.child_by_field_name("object")
        else:
            return None
    return None


def _kind(value: Node, function_kind: str) -> str:
    return "class" if value.type == "class" else function_kind


def _name(node: Node | None, text: Text) -> str:
    if node is not None and node.type == "computed_property_name":
        inside = first_child(node)
        return text(node) if inside is not None and inside.type in ("identifier", "member_expression") else ""
    return text(node).strip("'\"") if node is not None and node.type in _NAMES else ""


def class_declaration(node: Node, _scope: str | None, text: Text) -> Iterable[Found]:
    """A class; its decorators may be inside the node."""
    start = next((child for child in node.children if child.type != "decorator"), node)
    return (Found(_name(node.child_by_field_name("name"), text), "class", start=start),)


def method(node: Node, _scope: str | None, text: Text) -> Iterable[Found]:
    """A method of a class or an object."""
    return (Found(_name(node.child_by_field_name("name"), text), "method"),)


def value(node: Node, _scope: str | None, text: Text) -> Iterable[Found]:
    """A function or class that has a name and is handed on: ``forwardRef(function Button() {...})``."""
    name = _name(node.child_by_field_name("name"), text)
    return (Found(name, _kind(node, "function")),) if name else ()


def variable(node: Node, scope: str | None, text: Text) -> Iterable[Found]:
    """``const f = () => ...``, ``const C = class ...``, ``const LIMIT = ...``."""
    name = _name(node.child_by_field_name("name"), text)
    function = _function_in(node.child_by_field_name("value"), text)
    if function is not None:
        return (Found(name, _kind(function, "function"), value=function),)
    is_constant = scope in (None, "namespace") and is_constant_name(name)
    return (Found(name, "constant"),) if is_constant else ()


def assignment(node: Node, _scope: str | None, text: Text) -> Iterable[Found]:
    """``exports.f = function ...``, ``Foo.prototype.f = Foo.prototype.g = ...``: named by the last part of each.

    By its own name where that says nothing: ``module.exports = class Agent ...``.
    """
    names: list[tuple[Node | None, Node | None]] = []
    value: Node | None = node
    while value is not None and value.type == "assignment_expression" and len(names) < _MOST_AROUND:
        left = value.child_by_field_name("left")
        value = value.child_by_field_name("right")
        names.append((left, value))
    function = _function_in(value, text)
    if function is None:
        return ()
    return [
        _assigned(left, function, function if right is value else right, text)
        for left, right in names
        if left is not None
    ]


def _assigned(left: Node, function: Node, value: Node | None, text: Text) -> Found:
    kind, parent, around = _kind(function, "function"), None, ""
    name: Node | None = left
    if left.type == "member_expression":
        around, name = text(left.child_by_field_name("object")), left.child_by_field_name("property")
        if around.endswith(".prototype") and kind == "function":
            kind, parent = "method", around.removesuffix(".prototype").rpartition(".")[2]
    said = _name(name, text)
    if said in ("", "exports"):
        said = text(function.child_by_field_name("name")) or said
    return Found(said, kind, parent=parent, exported=around in ("exports", "module.exports") or None, value=value)


def member(field: str) -> Rule:
    """``name: function ...`` in an object, ``name = () => ...`` in a class."""

    def rule(node: Node, _scope: str | None, text: Text) -> Iterable[Found]:
        function = _function_in(node.child_by_field_name("value"), text)
        if function is None:
            return ()
        return (Found(_name(node.child_by_field_name(field), text), _kind(function, "method"), value=function),)

    return rule


def _export(node: Node, _scope: str | None, text: Text) -> Iterator[Import]:
    """``export ... from "./x"``."""
    source = string_in(node.child_by_field_name("source"), text)
    if source is not None:
        yield from from_script(node, source)


def _export_name(node: Node, _scope: str | None, text: Text) -> Iterable[Export]:
    return (Export(text(node.child_by_field_name("name"))),)


def _call(node: Node, _scope: str | None, text: Text) -> Iterator[Import]:
    """``require("./x")`` and ``import("./x")``."""
    function = node.child_by_field_name("function")
    if function is None or not (
        function.type == "import" or (function.type == "identifier" and text(function) == "require")
    ):
        return
    arguments = node.child_by_field_name("arguments")
    source = string_in(first_child(arguments), text) if arguments is not None else None
    if source is not None:
        yield from from_script(node, source)


def is_exported(node: Node, found: Found, scope: str | None, in_export: bool, text: Text) -> bool:
    """At the top what an ``export`` is around; in a class what is not private."""
    if scope is None:
        return in_export
    if found.name.startswith("#"):
        return False
    modifier = next((child for child in node.children if child.type == "accessibility_modifier"), None)
    return modifier is None or text(modifier) != "private"


RULES: dict[str, Rule] = {
    "import_statement": _export,
    "export_statement": _export,
    "export_specifier": _export_name,
    "call_expression": _call,
    "function_declaration": named("function"),
    "generator_function_declaration": named("function"),
    "class_declaration": class_declaration,
    "method_definition": method,
    "variable_declarator": variable,
    "assignment_expression": assignment,
    "field_definition": member("property"),
    "pair": member("key"),
    "function_expression": value,
    "generator_function": value,
    "class": value,
}

# Functions hide in expressions (callbacks, wrappers, module patterns), so those that can hold one are entered.
DESCEND = node_types(
    """
    program statement_block class_body class_static_block export_clause lexical_declaration
    variable_declaration expression_statement arguments parenthesized_expression
    arrow_function function_expression generator_function class object array return_statement
    await_expression yield_expression new_expression sequence_expression unary_expression
    binary_expression ternary_expression spread_element member_expression if_statement else_clause
    for_statement for_in_statement while_statement do_statement switch_statement switch_body switch_case
    switch_default try_statement catch_clause finally_clause labeled_statement throw_statement
    jsx_element jsx_self_closing_element jsx_attribute jsx_expression jsx_opening_element
    """
)

COMMENTS = frozenset({"comment", "html_comment"})
#: A comment in front of these is that of the definition in them.
WRAPPERS = frozenset({"export_statement", "lexical_declaration", "variable_declaration", "expression_statement"})
EXPORTERS = frozenset({"export_statement"})

GRAMMATICAL = Grammatical(
    grammar=tree_sitter_javascript.language,
    rules=RULES,
    descend=DESCEND,
    comments=COMMENTS,
    between=frozenset({"decorator"}),
    wrappers=WRAPPERS,
    exporters=EXPORTERS,
    exported=is_exported,
)
