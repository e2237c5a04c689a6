"""Ruby: modules, classes, methods of instances and of classes, constants."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import tree_sitter_ruby
from tree_sitter import Node

from indexing.found import Found, Grammatical, Import, Text, Visibility
from indexing.languages.imports import from_path, string_in
from indexing.languages.rules import first_child, function_or_method, named, node_types, qualified


def _constant(node: Node, _scope: str | None, text: Text) -> Iterable[Found]:
    left = node.child_by_field_name("left")
    return (Found(text(left), "constant"),) if left is not None and left.type == "constant" else ()


def _call(node: Node, _scope: str | None, text: Text) -> Iterator[Import]:
    """``require "a/b"``, ``require_relative "../a"``."""
    method = node.child_by_field_name("method")
    name = text(method) if method is not None and node.child_by_field_name("receiver") is None else ""
    if name not in ("require", "require_relative", "load"):
        return
    arguments = node.child_by_field_name("arguments")
    path = string_in(first_child(arguments), text) if arguments is not None else None
    if path is not None and "#{" not in path:
        yield from from_path(node, path, suffix=".rb", is_relative=name == "require_relative")


def _visibility(node: Node, scope: str | None, text: Text) -> Iterable[Visibility]:
    """``private`` on a line of its own."""
    word = text(node) if scope in ("class", "module") else ""
    return (Visibility(word == "public"),) if word in ("private", "protected", "public") else ()


GRAMMATICAL = Grammatical(
    grammar=tree_sitter_ruby.language,
    rules={
        "module": qualified("module", "::"),
        "class": qualified("class", "::"),
        "method": function_or_method(frozenset({"class", "module", "constant"})),
        "singleton_method": named("method"),
        "assignment": _constant,
        "call": _call,
        "identifier": _visibility,
    },
    # Definitions also stand in blocks (Class.new do ... end) and behind modifiers (private def name).
    descend=node_types(
        """
    program body_statement begin then else if unless elsif if_modifier unless_modifier case when rescue
    ensure block do_block block_body argument_list singleton_class
    """
    ),
    separator="::",
)
