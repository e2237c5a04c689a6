"""Every symbol of one small source in C, C++ and C#: name, kind, first line, last line, parent."""

from __future__ import annotations

import pytest

from .parsing import Definitions, definitions_of

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


@pytest.mark.parametrize(
    ("language", "source", "expected"),
    [
        ("c", C, C_SYMBOLS),
        ("cpp", CPP, CPP_SYMBOLS),
        ("csharp", CSHARP, CSHARP_SYMBOLS),
    ],
)
def test_every_definition_is_found_with_its_kind_lines_and_parent(
    language: str, source: str, expected: Definitions
) -> None:
    assert definitions_of(language, source) == expected
