"""Every symbol of one small source in the languages that are not in ``test_symbols.py``."""

from __future__ import annotations

from pathlib import Path

import pytest

from indexing import languages

from .parsing import Definitions, definitions_of

CSHARP = """\
using System;
namespace A.B;
[Attr]
public partial class C<T> : D {
  const int MAX = 1;
  private static readonly int Low = 2;
  int field;
  public C() {}
  ~C() {}
  public int Foo(int a) => 1;
  public string Name { get; set; }
  event EventHandler E;
  public int this[int i] { get { return 1; } }
  public static C operator +(C a, C b) => a;
  public static implicit operator int(C a) => 1;
  delegate void Del(int x);
  enum K { A, B }
  struct S { }
  interface I { void M(); }
  record R(int X);
  void Local() {
    int Inner(int y) { return y; }
  }
}
"""
CSHARP_SYMBOLS: Definitions = [
    ("B", "namespace", 2, 2, "A"),
    ("C", "class", 4, 24, "A.B"),
    ("MAX", "constant", 5, 5, "A.B.C"),
    ("Low", "constant", 6, 6, "A.B.C"),
    ("C", "method", 8, 8, "A.B.C"),
    ("~C", "method", 9, 9, "A.B.C"),
    ("Foo", "method", 10, 10, "A.B.C"),
    ("Name", "property", 11, 11, "A.B.C"),
    ("E", "property", 12, 12, "A.B.C"),
    ("this[]", "property", 13, 13, "A.B.C"),
    ("operator +", "method", 14, 14, "A.B.C"),
    ("operator int", "method", 15, 15, "A.B.C"),
    ("Del", "type", 16, 16, "A.B.C"),
    ("K", "enum", 17, 17, "A.B.C"),
    ("A", "constant", 17, 17, "A.B.C.K"),
    ("B", "constant", 17, 17, "A.B.C.K"),
    ("S", "struct", 18, 18, "A.B.C"),
    ("I", "interface", 19, 19, "A.B.C"),
    ("M", "method", 19, 19, "A.B.C.I"),
    ("R", "class", 20, 20, "A.B.C"),
    ("Local", "method", 21, 23, "A.B.C"),
    ("Inner", "function", 22, 22, "A.B.C.Local"),
]

PHP = """\
<html><?php
namespace A\\B;
final class C extends D implements E {
  const MAX = 1, OTHER = 2;
  public function foo(int $a): int { return 1; }
  private static function bar() {}
}
interface I { function m(); }
namespace Q;
trait T {}
enum Suit: string {
  case Hearts = 'H';
  public function f() {}
}
function top($x) {
  if (1) { function inner() {} }
}
const LIMIT = 3;
define('FOO', 1);
$anon = new class { function z() {} };
"""
PHP_SYMBOLS: Definitions = [
    ("B", "namespace", 2, 2, "A"),
    ("C", "class", 3, 7, "A\\B"),
    ("MAX", "constant", 4, 4, "A\\B\\C"),
    ("OTHER", "constant", 4, 4, "A\\B\\C"),
    ("foo", "method", 5, 5, "A\\B\\C"),
    ("bar", "method", 6, 6, "A\\B\\C"),
    ("I", "interface", 8, 8, "A\\B"),
    ("m", "method", 8, 8, "A\\B\\I"),
    ("Q", "namespace", 9, 9, None),
    ("T", "trait", 10, 10, "Q"),
    ("Suit", "enum", 11, 14, "Q"),
    ("Hearts", "constant", 12, 12, "Q\\Suit"),
    ("f", "method", 13, 13, "Q\\Suit"),
    ("top", "function", 15, 17, "Q"),
    ("inner", "function", 16, 16, "Q\\top"),
    ("LIMIT", "constant", 18, 18, "Q"),
    ("FOO", "constant", 19, 19, "Q"),
    ("z", "method", 20, 20, "Q"),
]

KOTLIN = """\
package a.b

@Ann
open class C<T>(val x: Int) : D() {
    companion object {
        const val MAX = 1
        fun make() = 1
    }
    private fun foo(a: Int): Int {
        fun local() {}
        val inner = 1
        return 1
    }
    val name: String
        get() = "x"
    constructor(y: String) : this(1) {}
    inner class In
    enum class K { A, B; fun k() {} }
}

data class R(val q: Int)
sealed interface I {
    fun m()
}
object O {
    fun z() {}
}
fun String.ext(): Int = 1
typealias Al = List<Int>
const val LIMIT = 3
val `odd name` = 1
"""
KOTLIN_SYMBOLS: Definitions = [
    ("C", "class", 4, 19, None),
    ("Companion", "object", 5, 8, "C"),
    ("MAX", "constant", 6, 6, "C.Companion"),
    ("make", "method", 7, 7, "C.Companion"),
    ("foo", "method", 9, 13, "C"),
    ("local", "function", 10, 10, "C.foo"),
    ("name", "property", 14, 15, "C"),
    ("constructor", "method", 16, 16, "C"),
    ("In", "class", 17, 17, "C"),
    ("K", "enum", 18, 18, "C"),
    ("A", "constant", 18, 18, "C.K"),
    ("B", "constant", 18, 18, "C.K"),
    ("k", "method", 18, 18, "C.K"),
    ("R", "class", 21, 21, None),
    ("I", "interface", 22, 24, None),
    ("m", "method", 23, 23, "I"),
    ("O", "object", 25, 27, None),
    ("z", "method", 26, 26, "O"),
    ("ext", "function", 28, 28, None),
    ("Al", "type", 29, 29, None),
    ("LIMIT", "constant", 30, 30, None),
    ("odd name", "property", 31, 31, None),
]


@pytest.mark.parametrize(
    ("language", "source", "expected"),
    [("csharp", CSHARP, CSHARP_SYMBOLS), ("php", PHP, PHP_SYMBOLS), ("kotlin", KOTLIN, KOTLIN_SYMBOLS)],
)
def test_every_definition_is_found_with_its_kind_lines_and_parent(
    language: str, source: str, expected: Definitions
) -> None:
    assert definitions_of(language, source) == expected


def test_every_language_of_the_table_can_be_loaded_and_is_tested() -> None:
    here = Path(__file__)
    tests = here.read_text() + here.with_name("test_symbols.py").read_text()
    for name in languages.LANGUAGES:
        assert (languages.load(name) is None) == (name == languages.TEXT)
        assert name == languages.TEXT or f"\n{name.upper()}_SYMBOLS: Definitions" in tests
