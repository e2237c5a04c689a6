"""C++: C, and classes, namespaces, methods inside and outside of their class, aliases, concepts."""

from __future__ import annotations

from collections.abc import Iterable

import tree_sitter_cpp
from tree_sitter import Node

from indexing.found import Definer, Found, Grammatical, Text, Visibility
from indexing.languages import c, c_macros
from indexing.languages.rules import named, qualified

_CLASSES = frozenset({"class", "struct"})


def _function(node: Node, scope: str | None, text: Text) -> Iterable[Found]:
    declarator = node.child_by_field_name("declarator")
    name = c.declared_name(declarator) if declarator is not None else None
    if name is None:
        return ()
    *around, last = _parts(name, text)
    kind = "method" if around or scope in _CLASSES else "function"
    return (Found(last, kind, parent="::".join(around) or None),)


def _parts(name: Node | None, text: Text) -> list[str]:
    """``Outer::Inner::run`` as its parts; template arguments are no part of a name."""
    parts = []
    inner: Node | None = name
    while inner is not None and inner.type == "qualified_identifier":
        parts.append(_plain(inner.child_by_field_name("scope"), text))
        inner = inner.child_by_field_name("name")
    return [part for part in parts if part] + [_plain(inner, text)]


def _plain(node: Node | None, text: Text) -> str:
    if node is not None and node.type == "operator_cast":
        return _conversion(node, text)
    if node is not None and node.type in ("template_type", "template_function", "template_method"):
        node = node.child_by_field_name("name")
    return text(node)


def _conversion(node: Node, text: Text) -> str:
    """``operator const T *`` of ``operator const T *() const``, where the grammar has all of it in the name."""
    inner: Node | None = node
    while inner is not None and inner.type != "abstract_function_declarator":
        inner = inner.child_by_field_name("declarator")
    return " ".join(text(node).removesuffix(text(inner)).split())


def _type(kind: str) -> Definer:
    rule = c.tagged(kind)

    def without_arguments(node: Node, scope: str | None, text: Text) -> Iterable[Found]:
        """A specialisation ``Name<int>`` is named ``Name``; ``Outer::Name`` is in ``Outer``."""
        return [_placed(found, node.child_by_field_name("name"), text) for found in rule(node, scope, text)]

    return without_arguments


def _placed(found: Found, name: Node | None, text: Text) -> Found:
    *around, last = _parts(name, text)
    return found._replace(name=last, parent="::".join(around) or None)


def _class(node: Node, scope: str | None, text: Text) -> Iterable[Found]:
    """Members of a class are private until it says otherwise; those of a struct are not."""
    return [found._replace(members_exported=False) for found in _type("class")(node, scope, text)]


def _access(node: Node, _scope: str | None, text: Text) -> Iterable[Visibility]:
    return (Visibility(text(node).rstrip(": \n\t") != "private"),)


def _is_exported(node: Node, found: Found, scope: str | None, in_export: bool, text: Text) -> bool:
    # A static method is for others, a static function is not.
    return found.kind == "method" or c.is_exported(node, found, scope, in_export, text)


GRAMMATICAL = Grammatical(
    grammar=tree_sitter_cpp.language,
    rules={
        **c.RULES,
        "function_definition": _function,
        "class_specifier": _class,
        "access_specifier": _access,
        "struct_specifier": _type("struct"),
        "namespace_definition": qualified("namespace", "::"),
        "alias_declaration": named("type"),
        "concept_definition": named("type"),
    },
    descend=c.DESCEND | {"friend_declaration", "export_declaration"},
    separator="::",
    wrappers=c.WRAPPERS | {"template_declaration"},
    exported=_is_exported,
    mend=c_macros.of_cpp,
)
