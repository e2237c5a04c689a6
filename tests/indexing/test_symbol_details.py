"""What a symbol says of itself beside name and lines, and what files import, in each language."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from git_repositories import Repository
from index_database import Index

from indexing import parser
from indexing.found import Import, Symbol
from indexing.search import dependents
from indexing.wording import MAX_DOC

Make = Callable[..., Repository]


def parsed(language: str, source: str | bytes) -> tuple[dict[str, Symbol], list[Import]]:
    content = source.encode() if isinstance(source, str) else source
    found = parser.parse(language, content, seconds=10, max_symbols=1000)
    assert found.skip_reason is None
    return {each.name: each for each in found.symbols}, list(found.imports)


@pytest.mark.parametrize(
    ("language", "source", "docs"),
    [
        (
            "python",
            '# lead\n# ing\ndef f(): pass\n\nclass A:\n    """Says.\n\n       More.\n    """\n'
            "    def m(self): r'raw'\n\n"
            "x = 1  # trailing\ndef g(): pass\n# far\n\n\ndef h(): pass\n",
            {"f": "lead\ning", "A": "Says.\n\nMore.", "m": "raw", "g": None, "h": None},
        ),
        (
            "typescript",
            "/** Of f.\n * @param a\n */\nexport function f() {}\n// one\n// two\nconst g = () => 1;\n/** d */\n"
            "@C({})\n"
            "export class K {\n  /** m */ m() {}\n}\n",
            {"f": "Of f.\n@param a", "g": "one\ntwo", "K": "d", "m": "m"},
        ),
        ("javascript", "/* a */ function f() {}\n\n/* far */\n\nfunction g() {}\n", {"f": "a", "g": None}),
        ("tsx", "// x\nexport const A = () => <a/>;\n", {"A": "x"}),
        (
            "go",
            "package x\n\n// A is.\ntype A struct{}\n\ntype (\n\t// B is.\n\tB int\n)\n\n// F does.\nfunc F() {}\n",
            {"A": "A is.", "B": "B is.", "F": "F does."},
        ),
        (
            "rust",
            "/// One\n/// two\n#[derive(Debug)]\npub struct P;\nfn a() {} // t\nfn b() {}\n",
            {"P": "One\ntwo", "b": None},
        ),
        ("java", "/** Doc. */\n@A\nclass K {\n  // of m\n  void m() {}\n}\n", {"K": "Doc.", "m": "of m"}),
        ("c", "/*\n * f does\n */\nstatic int\nf(void) { return 1; }\n", {"f": "f does"}),
        ("cpp", "/// t\ntemplate <class T>\nclass B {\n  //! m\n  void m() {}\n};\n", {"B": "t", "m": "m"}),
        ("ruby", "# K is\n# here\nclass K\n  def a; end # t\n  def b; end\nend\n", {"K": "K is\nhere", "b": None}),
        ("csharp", "/// <b>x</b>\n[A]\nclass C { }\n", {"C": "<b>x</b>"}),
        ("php", "<?php\n/**\n * doc\n */\n#[A]\nfunction f() {}\n", {"f": "doc"}),
        ("kotlin", "/** doc */\n@A\nfun f() {}\n", {"f": "doc"}),
    ],
)
def test_a_docstring_or_the_comment_in_front_is_kept(language: str, source: str, docs: dict[str, str | None]) -> None:
    symbols, _ = parsed(language, source)
    assert {name: symbols[name].doc for name in docs} == docs


def test_documentation_is_bounded() -> None:
    symbols, _ = parsed("python", f"def f():\n    '''{'wörd ' * 1000}'''\n# {'x' * 5000}\ndef g(): pass\n")
    assert [len(each.doc or "") <= MAX_DOC for each in symbols.values()] == [True, True]
    assert all(len(each.doc or "") > MAX_DOC - 10 for each in symbols.values())


@pytest.mark.parametrize(
    ("language", "source", "exported", "hidden"),
    [
        (
            "python",
            "def a(): pass\ndef _b(): pass\nclass C:\n  def __init__(self):\n    def i(): pass\n",
            "a C __init__",
            "_b i",
        ),
        (
            "typescript",
            "export class A { b() {} private c() {} #d() {} }\nclass E {}\nconst f = () => 1;\nconst g = () => 1;\n"
            "export { g };\nexport function h() { function i() {} }\nmodule.exports.j = () => 1;\n",
            "A b g h j",
            "c #d E f i",
        ),
        ("go", "package x\nfunc A() {}\nfunc b() {}\ntype C struct{}\nfunc (c C) d() {}\n", "A C", "b d"),
        (
            "rust",
            "pub fn a() {}\nfn b() {}\npub struct C;\nimpl C { pub fn d() {} fn e() {} }\nimpl T for C { fn f() {} }\n"
            "pub trait G { fn h(); }\nmod i { pub fn j() {} }\n",
            "a C d f G h",
            "b e i j",
        ),
        ("java", "public class A { public void b() {} void c() {} protected int D = 1; }\nclass E {}\n", "A b", "c E"),
        ("c", "int a(void) { return 1; }\nstatic int b(void) { return 1; }\n#define C 1\n", "a C", "b"),
        (
            "cpp",
            "class A { void b() {} public: void c() {} static void d() {} private: void e() {} };\n"
            "struct F { void g() {} };\n"
            "static void h() {}\n",
            "A c d F g",
            "b e h",
        ),
        ("ruby", "class A\n  def b; end\n  private\n  def c; end\n  public\n  def d; end\nend\n", "A b d", "c"),
        (
            "csharp",
            "public class A { public void B() {} void C() {} }\npublic interface D { void E(); }\n",
            "A B D E",
            "C",
        ),
        ("php", "<?php\nclass A { function b() {} private function c() {} }\nfunction d() {}\n", "A b d", "c"),
        ("kotlin", "class A {\n  fun b() {}\n  private fun c() {}\n}\n", "A b", "c"),
    ],
)
def test_a_symbol_says_whether_other_files_can_use_it(language: str, source: str, exported: str, hidden: str) -> None:
    symbols, _ = parsed(language, source)
    assert {name for name, each in symbols.items() if each.exported} >= set(exported.split())
    assert {name for name, each in symbols.items() if not each.exported} >= set(hidden.split())


@pytest.mark.parametrize(
    ("content", "cut"),
    [
        ("x = 1\nclass Ä:\n    def größe(self): pass\n".encode(), "def größe(self): pass"),
        ("\ufeffclass Ä:\n    def größe(self): pass\n".encode(), "def größe(self): pass"),
        ("class Ä:\r\n    def größe(self): pass\r\n".encode(), "def größe(self): pass"),
    ],
)
def test_bytes_are_those_of_the_content_and_columns_count_characters(content: bytes, cut: str) -> None:
    symbols, _ = parsed("python", content)
    method = symbols["größe"]
    assert content[method.first_byte : method.end_byte].decode() == cut
    assert (method.first_column, method.last_column) == (5, 4 + len(cut))


@pytest.mark.parametrize("encoding", ["utf-16", "latin-1"])
def test_a_content_that_is_not_utf8_has_columns_and_no_bytes(encoding: str) -> None:
    symbols, _ = parsed("python", "def größe(): pass\n".encode(encoding))
    method = symbols["größe"]
    assert (method.first_byte, method.end_byte, method.last_column) == (None, None, 17)


@pytest.mark.parametrize(
    ("language", "source", "imports"),
    [
        (
            "python",
            "import os, a.b as c\nfrom . import x, Big\nfrom ..p.q import (r, S as T)\nfrom m import *\nimport os\n",
            [
                ("os", "/os", None),
                ("a.b", "/a/b", None),
                (".", None, None),
                (".x", "/x", 0),
                ("..p.q", "/p/q", 1),
                ("..p.q.r", "/p/q/r", 1),
                ("m", "/m", None),
            ],
        ),
        (
            "typescript",
            "import a from './x/y';\nimport type {T} from '../../z/index.js';\nexport * from '@/q';\n"
            "const r = require('./r.json'), s = require(`./${r}`); const l = () => import('./lazy.ts');\n"
            "import 'pkg';\n",
            [
                ("./x/y", "/x/y", 0),
                ("../../z/index.js", "/z", 2),
                ("@/q", "/q", None),
                ("./r.json", "/r.json", 0),
                ("./lazy.ts", "/lazy", 0),
                ("pkg", None, None),
            ],
        ),
        (
            "go",
            'package x\nimport "fmt"\nimport (\n\tq "example.com/m/in/x"\n)\n',
            [("fmt", None, None), ("example.com/m/in/x", "/example.com/m/in/x", -1)],
        ),
        (
            "rust",
            "use crate::a::b::{c, D};\nuse super::super::x;\nuse std::io;\nmod child;\nuse self::y::Z;\n",
            [
                ("crate::a::b::{c,D}", "/a/b", None),
                ("crate::a::b::{c,D}", "/a", None),
                ("super::super::x", "/x", 2),
                ("std::io", None, None),
                ("mod child", "/child", 0),
                ("self::y::Z", "/y", 0),
            ],
        ),
        (
            "java",
            "import a.b.C;\nimport static a.b.D.m;\nimport a.b.*;\n",
            [("a.b.C", "/a/b/C", None), ("a.b.D.m", "/a/b/D", None), ("a.b.*", None, None)],
        ),
        ("kotlin", "import a.b.C as D\nimport a.b.f\n", [("a.b.C", "/a/b/C", None), ("a.b.f", None, None)]),
        ("c", '#include "../a/b.h"\n#include <c.h>\n', [("../a/b.h", "/a/b.h", None), ("c.h", "/c.h", None)]),
        (
            "ruby",
            "require 'a/b'\nrequire_relative '../c.rb'\nrequire \"#{x}\"\nputs 'x'\n",
            [("a/b", "/a/b", None), ("../c.rb", "/c", 1)],
        ),
        (
            "php",
            "<?php\nuse A\\B\\C;\nuse A\\{P, Q as R};\nrequire_once __DIR__ . '/x.php';\ninclude('y.php');\n",
            [
                ("A\\B\\C", "/B/C", None),
                ("A\\P", "/P", None),
                ("A\\Q", "/Q", None),
                ("/x.php", "/x", None),
                ("y.php", "/y", None),
            ],
        ),
        ("csharp", "using A.B;\nusing X = C.D;\n", [("A.B", None, None), ("C.D", None, None)]),
    ],
)
def test_imports_are_found_and_said_as_the_end_of_a_path(
    language: str, source: str, imports: list[tuple[str, str | None, int | None]]
) -> None:
    _, found = parsed(language, source)
    assert [(each.target, each.module, each.up) for each in found] == imports


def who(index: Index, path: str, **options: Any) -> list[str]:
    with index.connection, index.connection.cursor() as cursor:
        return [f"{hit.file}:{hit.line}" for hit in dependents(cursor, path, **options)]


FILES: dict[str, bytes | str] = {
    "src/app/__init__.py": "",
    "src/app/core.py": "from . import util\nfrom .util import f\nimport json\n",
    "src/app/util.py": "import app.core\n",
    "src/app/sub/deep.py": "from ..util import f\nfrom app import core\n",
    "tests/test_core.py": "from app.core import thing\nimport util\n",
    "tools/util.py": "",
    "tools/run.py": "import util\n",
    "a_b/x.py": "",
    "axb/x.py": "",
    "any/use.py": "import a_b.x\n",
    "web/index.ts": "import { a } from './lib';\nimport b from './lib/other.js';\n",
    "web/lib/index.ts": "export const a = 1;\n",
    "web/lib/other.ts": "import '../lib';\n",
    "go/internal/x/x.go": "package x\n",
    "go/internal/x/y.go": "package x\n",
    "go/x/x.go": "package x\n",
    "go/main.go": 'package main\nimport "example.com/m/go/internal/x"\n',
    "rs/src/lib.rs": "mod a;\n",
    "rs/src/a.rs": "mod b;\nuse crate::a::b::C;\n",
    "rs/src/a/b.rs": "use super::super::a;\n",
    "c/include/k.h": "",
    "c/k.c": '#include "k.h"\n#include <stdio.h>\n',
    "java/src/p/K.java": "package p;\n",
    "java/src/q/Use.kt": "import p.K\n",
}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("src/app/core.py", ["src/app/sub/deep.py:2", "src/app/util.py:1", "tests/test_core.py:1"]),
        ("src/app/util.py", ["src/app/core.py:1", "src/app/sub/deep.py:1"]),
        # The nearest root around the importing file, else the one nearest to the top.
        ("tools/util.py", ["tests/test_core.py:2", "tools/run.py:1"]),
        ("src/app/__init__.py", ["src/app/sub/deep.py:2"]),
        # An underscore is no wildcard.
        ("a_b/x.py", ["any/use.py:1"]),
        ("axb/x.py", []),
        ("web/lib/index.ts", ["web/index.ts:1", "web/lib/other.ts:1"]),
        ("web/lib/other.ts", ["web/index.ts:2"]),
        # A package is all its files, and the longest ending counts.
        ("go/internal/x/y.go", ["go/main.go:2"]),
        ("go/x/x.go", []),
        ("rs/src/a.rs", ["rs/src/a/b.rs:1", "rs/src/lib.rs:1"]),
        ("rs/src/a/b.rs", ["rs/src/a.rs:1", "rs/src/a.rs:2"]),
        ("c/include/k.h", ["c/k.c:1"]),
        ("java/src/p/K.java", ["java/src/q/Use.kt:1"]),
    ],
)
def test_who_depends_on_a_file(indexed_files: Index, path: str, expected: list[str]) -> None:
    assert who(indexed_files, path) == expected


@pytest.fixture(scope="module")
def indexed_files(server: Any, template: str, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """All of the files above in one commit, for the tests that only read."""
    import psycopg2

    name = server.create_database(template)
    connection = psycopg2.connect(server.url_of(name))
    index = Index(server.url_of(name), connection)
    index.run(Repository.make(tmp_path_factory.mktemp("many") / "r", FILES).url)
    yield index
    connection.close()
    server.drop_database(name)


def test_the_view_says_the_same_from_the_other_side(indexed_files: Index) -> None:
    rows = indexed_files.rows(
        "SELECT line, target, depends_on FROM indexing.dependencies WHERE path = 'src/app/sub/deep.py' AND is_current"
        " ORDER BY 1, 2, 3"
    )
    assert rows == [
        (1, "..util", "src/app/util.py"),
        (2, "app", "src/app/__init__.py"),
        (2, "app.core", "src/app/core.py"),
    ]
    assert indexed_files.rows(
        "SELECT line, target FROM indexing.imports_at_commit WHERE path = 'src/app/core.py' ORDER BY ordinal"
    ) == [(1, "."), (1, ".util"), (2, ".util.f"), (3, "json")]


def test_dependencies_follow_the_commit(index: Index, make_repository: Make) -> None:
    repository = make_repository({"a.py": "import b\n", "c.py": ""})
    old = repository.head
    index.run(repository.url)
    repository.commit({"b.py": ""})
    index.run(repository.url)
    # The importing file is the same content in both.
    assert who(index, "b.py") == ["a.py:1"]
    assert who(index, "b.py", commit=old) == []
    (repository.path / "a.py").unlink()
    repository.commit({})
    index.run(repository.url)
    assert who(index, "b.py") == []
