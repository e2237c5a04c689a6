"""Every symbol of one small source in each language: name, kind, first line, last line, parent."""

from __future__ import annotations

import pytest

from .parsing import Definitions, definitions_of, symbols_of

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

JAVASCRIPT = """\
export default class App extends Base {
  #secret = () => 1;
  constructor() { super(); }
  static async run(a) {
    function nested() {}
  }
  get value() { return 1; }
  [Symbol.iterator]() {} [a + b]() {}
}
function* gen() {}
const arrow = async (x) => { return x };
const LIMIT = 3, other = 4;
exports.helper = function (a, b) {}; module.exports = class Agent {}; all[0] = function first() {};
Foo.prototype.bar = function () {};
const obj = { method() {}, key: () => 1, 'quoted': function() {} };
describe('x', () => { const inner = () => 1; });
const Comp = () => <div onClick={function named() {}}>{list.map(() => { function deep() {} })}</div>;
"""
JAVASCRIPT_SYMBOLS: Definitions = [
    ("App", "class", 1, 9, None),
    ("#secret", "method", 2, 2, "App"),
    ("constructor", "method", 3, 3, "App"),
    ("run", "method", 4, 6, "App"),
    ("nested", "function", 5, 5, "App.run"),
    ("value", "method", 7, 7, "App"),
    ("[Symbol.iterator]", "method", 8, 8, "App"),
    ("gen", "function", 10, 10, None),
    ("arrow", "function", 11, 11, None),
    ("LIMIT", "constant", 12, 12, None),
    ("helper", "function", 13, 13, None),
    ("Agent", "class", 13, 13, None),
    ("first", "function", 13, 13, None),
    ("bar", "function", 14, 14, None),
    ("method", "method", 15, 15, None),
    ("key", "method", 15, 15, None),
    ("quoted", "method", 15, 15, None),
    ("inner", "function", 16, 16, None),
    ("Comp", "function", 17, 17, None),
    ("deep", "function", 17, 17, "Comp"),
]

TYPESCRIPT = """\
export interface Shape<T> {
  area(): number;
  name: string;
}
export type Id = string | number;
export enum Color { Red, Green }
declare module 'ext' { function ambient(a: string): void; }
namespace A.B { export const LIMIT = 1; export function inside() {} }
@Component({})
export abstract class Base<T> {
  private handler = async (e: Event) => {};
  abstract draw(): void;
  @Input() method<T>(a: T): T { return a }
}
function overload(a: string): void;
function overload(a: any) {}
"""
TYPESCRIPT_SYMBOLS: Definitions = [
    ("Shape", "interface", 1, 4, None),
    ("area", "method", 2, 2, "Shape"),
    ("Id", "type", 5, 5, None),
    ("Color", "enum", 6, 6, None),
    ("ext", "namespace", 7, 7, None),
    ("ambient", "function", 7, 7, "ext"),
    ("B", "namespace", 8, 8, "A"),
    ("LIMIT", "constant", 8, 8, "A.B"),
    ("inside", "function", 8, 8, "A.B"),
    ("Base", "class", 10, 14, None),
    ("handler", "method", 11, 11, "Base"),
    ("draw", "method", 12, 12, "Base"),
    ("method", "method", 13, 13, "Base"),
    ("overload", "function", 15, 15, None),
    ("overload", "function", 16, 16, None),
]

TSX = """\
export const Button = ({ label }: Props) => (
  <button onClick={() => { function inside() {} }}>{label}</button>
);
export function Panel(): JSX.Element { return <div/>; }
"""
TSX_SYMBOLS: Definitions = [
    ("Button", "function", 1, 3, None),
    ("inside", "function", 2, 2, "Button"),
    ("Panel", "function", 4, 4, None),
]

GO = """\
package main

const A, B = 1, 2
const (
	C = iota
	_
)

type Server[T any] struct {
	x int
}
type Runner interface {
	Run(ctx context.Context) error
}
type ID string
type Alias = ID

func (s *Server[T]) Start(a int) error {
	return nil
}
func (Server[T]) Stop() {}
func main() {
	type local struct{}
	const inner = 1
}
"""
GO_SYMBOLS: Definitions = [
    ("A", "constant", 3, 3, None),
    ("B", "constant", 3, 3, None),
    ("C", "constant", 5, 5, None),
    ("Server", "struct", 9, 11, None),
    ("Runner", "interface", 12, 14, None),
    ("Run", "method", 13, 13, "Runner"),
    ("ID", "type", 15, 15, None),
    ("Alias", "type", 16, 16, None),
    ("Start", "method", 18, 20, "Server"),
    ("Stop", "method", 21, 21, "Server"),
    ("main", "function", 22, 25, None),
    ("local", "struct", 23, 23, "main"),
]

RUST = """\
pub const MAX: usize = 3;
static NAME: &str = "x";
mod inner { pub fn nested() {} }
#[derive(Debug)]
pub struct Point<T> { x: T }
enum Kind { A, B }
pub trait Draw {
    type Out;
    fn draw(&self) -> u8;
    fn twice(&self) {}
}
impl<T> Draw for Point<T> {
    fn draw(&self) -> u8 {
        fn helper() {}
        1
    }
}
impl fmt::Display for Kind { fn fmt(&self) {} }
type Short = Point<u8>;
macro_rules! mine { () => {} }
union Both { a: u8 }
extern "C" { fn outside(); }
async fn main() {}
"""
RUST_SYMBOLS: Definitions = [
    ("MAX", "constant", 1, 1, None),
    ("NAME", "constant", 2, 2, None),
    ("inner", "module", 3, 3, None),
    ("nested", "function", 3, 3, "inner"),
    ("Point", "struct", 5, 5, None),
    ("Kind", "enum", 6, 6, None),
    ("Draw", "trait", 7, 11, None),
    ("Out", "type", 8, 8, "Draw"),
    ("draw", "method", 9, 9, "Draw"),
    ("twice", "method", 10, 10, "Draw"),
    ("draw", "method", 13, 16, "Point"),
    ("helper", "function", 14, 14, "Point::draw"),
    ("fmt", "method", 18, 18, "Kind"),
    ("Short", "type", 19, 19, None),
    ("mine", "macro", 20, 20, None),
    ("Both", "struct", 21, 21, None),
    ("outside", "function", 22, 22, None),
    ("main", "function", 23, 23, None),
]

JAVA = """\
package x;
@Deprecated
public final class A extends B {
    public static final int MAX_SIZE = 3, OTHER = 4;
    private int field;
    @Override
    public String toString() {
        Runnable r = new Runnable() { public void run() {} };
        return "";
    }
    public A(int x) {}
    enum Color { RED, GREEN { void paint() {} }; void mix() {} }
    interface Shape { int AREA = 1; double area(); }
    record Point(int x, int y) { Point { } }
    @interface Note { String value(); }
}
"""
JAVA_SYMBOLS: Definitions = [
    ("A", "class", 3, 16, None),
    ("MAX_SIZE", "constant", 4, 4, "A"),
    ("OTHER", "constant", 4, 4, "A"),
    ("toString", "method", 7, 10, "A"),
    ("run", "method", 8, 8, "A.toString"),
    ("A", "method", 11, 11, "A"),
    ("Color", "enum", 12, 12, "A"),
    ("RED", "constant", 12, 12, "A.Color"),
    ("GREEN", "constant", 12, 12, "A.Color"),
    ("paint", "method", 12, 12, "A.Color.GREEN"),
    ("mix", "method", 12, 12, "A.Color"),
    ("Shape", "interface", 13, 13, "A"),
    ("AREA", "constant", 13, 13, "A.Shape"),
    ("area", "method", 13, 13, "A.Shape"),
    ("Point", "class", 14, 14, "A"),
    ("Point", "method", 14, 14, "A.Point"),
    ("Note", "interface", 15, 15, "A"),
    ("value", "method", 15, 15, "A.Note"),
]

C = """\
#define LIMIT 10
#define SQUARE(x) ((x)*(x))
struct point { int x; };
typedef struct { int y; } Anon, *AnonPointer;
typedef int (*callback)(int);
enum color { RED, GREEN = 2 };
int prototype(int);
static int *
make(int a, char **b)
{
    return 0;
}
#ifdef X
void conditional(void) {}
#else
union both { int a; };
#endif
int (*returns_fp(void))(int) { return 0; }
static struct inner_use { int z; } global;
struct point usage;
"""
C_SYMBOLS: Definitions = [
    ("LIMIT", "macro", 1, 1, None),
    ("SQUARE", "macro", 2, 2, None),
    ("point", "struct", 3, 3, None),
    ("Anon", "type", 4, 4, None),
    ("AnonPointer", "type", 4, 4, None),
    ("callback", "type", 5, 5, None),
    ("color", "enum", 6, 6, None),
    ("RED", "constant", 6, 6, "color"),
    ("GREEN", "constant", 6, 6, "color"),
    ("make", "function", 8, 12, None),
    ("conditional", "function", 14, 14, None),
    ("both", "struct", 16, 16, None),
    ("returns_fp", "function", 18, 18, None),
    ("inner_use", "struct", 19, 19, None),
]

CPP = """\
namespace outer { namespace { int hidden() { return 1; } }
class Shape : public Base {
 public:
  Shape() {}
  ~Shape() {}
  virtual double area() const { return 0; }
  void proto();
  bool operator==(const Shape& o) const { return true; }
  operator bool() const { return true; }
  enum class Mode { On, Off };
};
template <typename T> struct Box { T get() { return t; } T t; };
template <> struct Box<int> { int get() { return 0; } };
}
void outer::Shape::proto() {}
template <typename T> T Box<T>::late() { return t; }
using Alias = int;
template <typename T> concept Small = sizeof(T) < 4;
int main() { auto l = []{ }; }
namespace a::b { void f() {} }
"""
CPP_SYMBOLS: Definitions = [
    ("outer", "namespace", 1, 14, None),
    ("hidden", "function", 1, 1, "outer"),
    ("Shape", "class", 2, 11, "outer"),
    ("Shape", "method", 4, 4, "outer::Shape"),
    ("~Shape", "method", 5, 5, "outer::Shape"),
    ("area", "method", 6, 6, "outer::Shape"),
    ("operator==", "method", 8, 8, "outer::Shape"),
    ("operator bool", "method", 9, 9, "outer::Shape"),
    ("Mode", "enum", 10, 10, "outer::Shape"),
    ("On", "constant", 10, 10, "outer::Shape::Mode"),
    ("Off", "constant", 10, 10, "outer::Shape::Mode"),
    ("Box", "struct", 12, 12, "outer"),
    ("get", "method", 12, 12, "outer::Box"),
    ("Box", "struct", 13, 13, "outer"),
    ("get", "method", 13, 13, "outer::Box"),
    ("proto", "method", 15, 15, "outer::Shape"),
    ("late", "method", 16, 16, "Box"),
    ("Alias", "type", 17, 17, None),
    ("Small", "type", 18, 18, None),
    ("main", "function", 19, 19, None),
    ("b", "namespace", 20, 20, "a"),
    ("f", "function", 20, 20, "a::b"),
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


@pytest.mark.parametrize(
    ("language", "source", "expected"),
    [
        ("python", PYTHON, PYTHON_SYMBOLS),
        ("javascript", JAVASCRIPT, JAVASCRIPT_SYMBOLS),
        ("typescript", TYPESCRIPT, TYPESCRIPT_SYMBOLS),
        ("tsx", TSX, TSX_SYMBOLS),
        ("go", GO, GO_SYMBOLS),
        ("rust", RUST, RUST_SYMBOLS),
        ("java", JAVA, JAVA_SYMBOLS),
        ("c", C, C_SYMBOLS),
        ("cpp", CPP, CPP_SYMBOLS),
        ("ruby", RUBY, RUBY_SYMBOLS),
    ],
)
def test_every_definition_is_found_with_its_kind_lines_and_parent(
    language: str, source: str, expected: Definitions
) -> None:
    assert definitions_of(language, source) == expected


@pytest.mark.parametrize(
    ("language", "source", "signature"),
    [
        ("python", "class A(B):  # a note\n    pass\n", "class A(B)"),
        ("rust", "fn f(/* in */ a: u8) /* out */ -> u8 { a }\n", "fn f(/* in */ a: u8) -> u8"),
        (
            "python",
            "async def run(a,\n        b: int = 2) -> None:\n    pass\n",
            "async def run(a, b: int = 2) -> None",
        ),
        ("javascript", "const f = async (x) => { return 1 };", "f = async (x) =>"),
        ("java", "class A { @Override\n public <T> T get(int a)\n throws E { } }", "public <T> T get(int a) throws E"),
        ("go", "package x\nfunc (s *S) Run(a int) (b error) {\n}\n", "func (s *S) Run(a int) (b error)"),
        ("rust", "pub struct P<T>\nwhere T: Copy {\n x: T }", "pub struct P<T> where T: Copy"),
        ("c", "static int *\nf(void)\n{}", "static int * f(void)"),
        ("ruby", "class A < B\nend\n", "class A < B"),
        ("typescript", "interface S {\n a(): void }", "interface S"),
    ],
)
def test_a_signature_is_one_line_without_the_body(language: str, source: str, signature: str) -> None:
    assert signature in [symbol.signature for symbol in symbols_of(language, source)]
