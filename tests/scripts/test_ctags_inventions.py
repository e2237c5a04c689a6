"""What ctags calls a definition and is none, and what looks like it and is one."""

from __future__ import annotations

import pytest
from ctags_inventions import Tag, Text, cause_of


@pytest.mark.parametrize(
    ("language", "source", "line", "name", "is_invention"),
    [
        ("ruby", "x = <<~TEXT\n  def f; end\nTEXT\ndef f; end\n", 2, "f", True),
        ("ruby", "x = <<~TEXT\n  def f; end\nTEXT\ndef f; end\n", 4, "f", False),
        ("ruby", "def object.f\n", 1, "object", True),
        ("kotlin", "x.map { key, value ->\n", 1, "value", True),
        ("kotlin", "fun f(g: (Int) -> Int) = 1\n", 1, "f", False),
        ("kotlin", "for (each in all) {}\n", 1, "each", True),
        ("c", "\nTEST(name) {\n", 2, "TEST", True),
        ("c", "int\nPEM(void) {\n", 2, "PEM", False),
        ("cpp", "class A FUTURE_FINAL : B {\n", 1, "FUTURE_FINAL", True),
        ("cpp", "class EXPORT UUID {\n", 1, "UUID", False),
        ("javascript", "var f = (function () {\n  return 1;\n})();\n", 1, "f", True),
        ("javascript", "var f = (function () {\n  return 1;\n});\n", 1, "f", False),
        ("javascript", "A.prototype.f = A.prototype.g = other;\n", 1, "f", True),
        ("javascript", "A.prototype.f = A.prototype.g = function () {};\n", 1, "f", False),
        ("javascript", "A.prototype.f.call(this);\n", 1, "f", True),
        ("javascript", "this.s.ondata = function () {};\n", 1, "s", True),
        ("csharp", "class A<T> where T : class, B<T>\n", 1, "B", True),
        ("csharp", "class A<T> where T : class, B<T>\n", 1, "A", False),
        ("csharp", "if (a) throw new B();\n", 1, "B", True),
    ],
)
def test_a_rule_holds_for_what_is_no_definition_only(
    language: str, source: str, line: int, name: str, is_invention: bool
) -> None:
    assert (cause_of(language, Tag(name, line, "method"), Text(source.encode())) is not None) is is_invention


@pytest.mark.parametrize(
    ("source", "is_invention"), [("var a = { b: 1 };", True), ("class a {}", False), ("a = class {}", False)]
)
def test_an_object_is_no_class(source: str, is_invention: bool) -> None:
    assert (cause_of("javascript", Tag("a", 1, "class"), Text(source.encode())) is not None) is is_invention
