"""The languages, one row each. A new one: its wheel in the dependencies, a module here, a row in the table.

Change how a language is read and raise its version: its blobs are parsed again, those of the others are not.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from indexing.found import Grammatical

#: What a file is that no row below names: listed with its lines, without symbols.
TEXT: Final = "text"


# Modules that the parser process loads do without dataclasses and pathlib: it starts in half the time.
class Language(NamedTuple):
    """One language. ``extractor`` is ``module:attribute``, loaded by the parser process only."""

    name: str
    #: Of the rules; stored with each blob.
    version: int
    suffixes: tuple[str, ...]
    extractor: str | None
    #: Whole file names, for those without a suffix.
    filenames: tuple[str, ...] = ()


_TABLE: Final = (
    Language("python", 5, (".py", ".pyi", ".pyw"), "python:GRAMMATICAL"),
    Language("javascript", 5, (".js", ".mjs", ".cjs", ".jsx"), "javascript:GRAMMATICAL"),
    Language("typescript", 5, (".ts", ".mts", ".cts"), "typescript:TYPESCRIPT"),
    Language("tsx", 5, (".tsx",), "typescript:TSX"),
    Language("go", 3, (".go",), "go:GRAMMATICAL"),
    Language("rust", 3, (".rs",), "rust:GRAMMATICAL"),
    Language("java", 3, (".java",), "java:GRAMMATICAL"),
    Language("c", 4, (".c", ".h"), "c:GRAMMATICAL"),
    Language("cpp", 4, (".cpp", ".cc", ".cxx", ".hpp", ".hh", ".hxx", ".ipp", ".inl", ".tpp"), "cpp:GRAMMATICAL"),
    Language(
        "ruby", 3, (".rb", ".rake", ".gemspec", ".ru"), "ruby:GRAMMATICAL", ("Rakefile", "Gemfile", "Vagrantfile")
    ),
    Language("csharp", 2, (".cs", ".csx"), "csharp:GRAMMATICAL"),
    Language("php", 3, (".php", ".phtml", ".php5"), "php:GRAMMATICAL"),
    Language("kotlin", 3, (".kt", ".kts"), "kotlin:GRAMMATICAL"),
    Language(TEXT, 1, (), None),
)

LANGUAGES: Final = {language.name: language for language in _TABLE}
_BY_SUFFIX: Final = {suffix: language.name for language in _TABLE for suffix in language.suffixes}
_BY_FILENAME: Final = {filename: language.name for language in _TABLE for filename in language.filenames}
_CPP_SOURCES: Final = tuple(suffix.encode() for suffix in LANGUAGES["cpp"].suffixes)

#: All versions in one text: a commit read with the same ones need not be read again.
FINGERPRINT: Final = " ".join(
    f"{language.name}:{language.version}" for language in sorted(_TABLE, key=lambda row: row.name)
)


def language_of(path: bytes, *, has_cpp: bool = False) -> str:
    """The language of a path, by its name alone. ``.h`` is C++ in a commit that has C++ sources: C++ reads both."""
    name = path.rpartition(b"/")[2].decode("utf-8", "replace")
    stem, _, last = name.lower().rpartition(".")
    suffix = f".{last}" if stem else ""
    if suffix == ".h" and has_cpp:
        return "cpp"
    return _BY_FILENAME.get(name) or _BY_SUFFIX.get(suffix, TEXT)


def is_cpp_source(path: bytes) -> bool:
    """Whether a path alone makes its commit one with C++ sources."""
    return path.lower().endswith(_CPP_SOURCES)


def load(name: str) -> Grammatical | None:
    """How to read a language; None for text. KeyError for a name that is in no row."""
    extractor = LANGUAGES[name].extractor
    if extractor is None:
        return None
    module, _, attribute = extractor.partition(":")
    grammatical: Grammatical = getattr(importlib.import_module(f"{__name__}.{module}"), attribute)
    return grammatical
