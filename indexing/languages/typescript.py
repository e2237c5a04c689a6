"""TypeScript and TSX: JavaScript, and interfaces, types, enums, namespaces and signatures without a body."""

from __future__ import annotations

import tree_sitter_typescript

from indexing.found import Found, Grammatical, Rule
from indexing.languages import javascript
from indexing.languages.rules import named, qualified

_namespace = qualified("namespace", ".")
_RULES: dict[str, Rule] = {
    **javascript.RULES,
    "abstract_class_declaration": javascript.class_declaration,
    "function_signature": named("function"),
    "method_signature": javascript.method,
    "abstract_method_signature": javascript.method,
    "construct_signature": lambda _node, _scope, _text: (Found("new", "method"),),
    "public_field_definition": javascript.member("name"),
    "interface_declaration": named("interface"),
    "type_alias_declaration": named("type"),
    "enum_declaration": named("enum"),
    "internal_module": _namespace,
    "module": _namespace,
}
_DESCEND = javascript.DESCEND | {
    "ambient_declaration",
    "interface_body",
    "as_expression",
    "satisfies_expression",
    "non_null_expression",
    "type_assertion",
}

TYPESCRIPT = Grammatical(
    grammar=tree_sitter_typescript.language_typescript,
    rules=_RULES,
    descend=_DESCEND,
    comments=javascript.COMMENTS,
    between=frozenset({"decorator"}),
    wrappers=javascript.WRAPPERS | {"ambient_declaration"},
    # What a declaration file declares is there for others.
    exporters=javascript.EXPORTERS | {"ambient_declaration"},
    exported=javascript.is_exported,
)
TSX = TYPESCRIPT._replace(grammar=tree_sitter_typescript.language_tsx)
