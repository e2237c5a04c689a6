"""Ruby: modules, classes, methods of instances and of classes, constants."""

from __future__ import annotations

from collections.abc import Iterable

import tree_sitter_ruby
from tree_sitter import Node

from indexing.extract import Found, Grammatical, Text
from indexing.languages.rules import function_or_method, named, node_types, qualified


def _constant(node: Node, _scope: str | None, text: Text) -> Iterable[Found]:
    left = node.child_by_field_name("left")
    return (Found(text(left), "constant"),) if left is not None and left.type == "constant" else ()


GRAMMATICAL = Grammatical(
    grammar=tree_sitter_ruby.language,
    rules={
        "module": qualified("module", "::"),
        "class": qualified("class", "::"),
        "method": function_or_method(frozenset({"class", "module", "constant"})),
        "singleton_method": named("method"),
        "assignment": _constant,
    },
    # Definitions also stand in blocks (Class.new do ... end) and behind modifiers (private def name).
    descend=node_types(
        """
    program body_statement begin then else if unless elsif if_modifier unless_modifier case when rescue
    ensure block do_block block_body call argument_list singleton_class
    """
    ),
    separator="::",
)
