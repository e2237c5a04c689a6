"""Every symbol of one small source in Go, Rust, Java and Kotlin: name, kind, first line, last line, parent."""

from __future__ import annotations

import pytest

from .parsing import Definitions, definitions_of

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
    [
        ("go", GO, GO_SYMBOLS),
        ("rust", RUST, RUST_SYMBOLS),
        ("java", JAVA, JAVA_SYMBOLS),
        ("kotlin", KOTLIN, KOTLIN_SYMBOLS),
    ],
)
def test_every_definition_is_found_with_its_kind_lines_and_parent(
    language: str, source: str, expected: Definitions
) -> None:
    assert definitions_of(language, source) == expected
