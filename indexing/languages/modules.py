"""The name under which other files import a file: made of its path alone.

``/src/app`` for ``src/app.py``, ``src/app/__init__.py``, ``src/app.ts`` and ``src/app/index.ts``; a Go file is its
directory, a C file its whole path. An import (``indexing.found.Import``) ends with it, or the other way round.
"""

from __future__ import annotations

from typing import Final

#: Suffixes to leave out, longest first, and last parts that stand for their directory.
_RULES: Final[dict[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    "python": ((".pyi", ".pyw", ".py"), ("__init__",)),
    "javascript": ((".jsx", ".mjs", ".cjs", ".js"), ("index",)),
    "typescript": ((".d.mts", ".d.cts", ".d.ts", ".mts", ".cts", ".ts"), ("index",)),
    "tsx": ((".tsx",), ("index",)),
    "rust": ((".rs",), ("mod", "lib", "main")),
    "java": ((".java",), ()),
    "kotlin": ((".kts", ".kt"), ()),
    "ruby": ((".rb",), ()),
    "php": ((".php",), ()),
    "c": ((), ()),
    "cpp": ((), ()),
}


def module_of(path: str, language: str | None) -> str | None:
    """The module of a stored path; None where nothing imports files of that kind, and for quoted paths."""
    if language is None or path.startswith('"'):
        return None
    if language == "go":
        directory = path.rpartition("/")[0]
        return "/" + directory if directory else None
    rule = _RULES.get(language)
    if rule is None:
        return None
    suffixes, stand_ins = rule
    suffix = next((each for each in suffixes if path.endswith(each)), "")
    module = path.removesuffix(suffix)
    directory, _, last = module.rpartition("/")
    if last in stand_ins:
        module = directory
    return "/" + module if module else None
