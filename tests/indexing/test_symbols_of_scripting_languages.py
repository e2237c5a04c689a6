"""Every symbol of one small source in scripting languages: name, kind, first line, last line, parent."""

from __future__ import annotations

import pytest

from .parsing import Definitions, definitions_of

PYTHON = """\
import os
MAX_SIZE = 3
lower = 4
type Alias[T] = list[T]


class Outer(Base):
    LIMIT: int = 5

    @property
    def value(self) -> int:
        def helper(): pass
        LOCAL = 1
        return LOCAL

    class Inner:
        async def run(self,
                      b=2) -> None: ...


if os.name:
    @decorated
    def conditional(): pass
else:
    with x:
        class Other: pass
"""
PYTHON_SYMBOLS: Definitions = [
    ("MAX_SIZE", "constant", 2, 2, None),
    ("Alias", "type", 4, 4, None),
    ("Outer", "class", 7, 18, None),
    ("LIMIT", "constant", 8, 8, "Outer"),
    ("value", "method", 11, 14, "Outer"),
    ("helper", "function", 12, 12, "Outer.value"),
    ("Inner", "class", 16, 18, "Outer"),
    ("run", "method", 17, 18, "Outer.Inner"),
    ("conditional", "function", 23, 23, None),
    ("Other", "class", 26, 26, None),
]

RUBY = """\
module Outer
  LIMIT = 3
  class Inner < Base
    def initialize(a, b = 1)
      @a = a
    end
    def self.build; end
    private def hidden; end
    class << self
      def meta; end
    end
  end
  class A::B; end
end
def top(x) = x
Thing = Struct.new(:a) do
  def inside; end
end
"""
RUBY_SYMBOLS: Definitions = [
    ("Outer", "module", 1, 14, None),
    ("LIMIT", "constant", 2, 2, "Outer"),
    ("Inner", "class", 3, 12, "Outer"),
    ("initialize", "method", 4, 6, "Outer::Inner"),
    ("build", "method", 7, 7, "Outer::Inner"),
    ("hidden", "method", 8, 8, "Outer::Inner"),
    ("meta", "method", 10, 10, "Outer::Inner"),
    ("B", "class", 13, 13, "Outer::A"),
    ("top", "function", 15, 15, None),
    ("Thing", "constant", 16, 18, None),
    ("inside", "method", 17, 17, "Thing"),
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
$twice = fn ($x) => 2 * $x;
$run = function () { return [new class($a) extends B { function inside() {} }]; };
$this->on('x', static fn () => $a ?? new class { function handler() {} });
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
    ("twice", "function", 21, 21, "Q"),
    ("run", "function", 22, 22, "Q"),
    ("inside", "method", 22, 22, "Q\\run"),
    ("handler", "method", 23, 23, "Q"),
]


@pytest.mark.parametrize(
    ("language", "source", "expected"),
    [
        ("python", PYTHON, PYTHON_SYMBOLS),
        ("ruby", RUBY, RUBY_SYMBOLS),
        ("php", PHP, PHP_SYMBOLS),
    ],
)
def test_every_definition_is_found_with_its_kind_lines_and_parent(
    language: str, source: str, expected: Definitions
) -> None:
    assert definitions_of(language, source) == expected
