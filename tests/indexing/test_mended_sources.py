"""Sources that a grammar does not read as they are: what is behind macros, conditions and odd line ends is found."""

from __future__ import annotations

import time

import pytest
from tree_sitter import Tree

from indexing import languages
from indexing.extract import Extractor
from indexing.found import Grammatical

from .parsing import Definitions, definitions_of, symbols_of

C = """\
#ifdef __cplusplus
namespace outer {
#else
extern "C" {
#endif
EXPORT int NOTHROW ATTRIBUTE(nonnull(1))
first(void *a UNUSED, int b) {
    return b;
}
TEST_END

static INLINE struct point *
second(void)
{
#ifdef FAST
    if (fast()) {
#else
    if (slow()) {
#endif
        return 0;
    }
}
int
#if 0
old(int a)
#else
third(int a)
#endif
{
    const char *text = "#if } /* \\" {";
    return (int)CURRENT;
}
}
"""
C_SYMBOLS: Definitions = [
    ("first", "function", 6, 9, None),
    ("second", "function", 12, 22, None),
    ("third", "function", 23, 32, None),
]

CPP = """\
BEGIN_NAMESPACE
class EXPORT [[deprecated("use B")]] A final : public Base {
 public:
  CONSTEXPR A(int a) : a_(a) {}
  NODISCARD const ::ns::T *get() const { return 0; }
  void run() EXCLUDES(mutex_) { lock(); }
  operator const T *() const { return 0; }
};
struct EXPORT B { int field; };
class A::Inner FINAL : Base { void f() {} };
A::operator std::string() const { return ""; }
CONSTEXPR A::A(int a, int b) : a_(a) {}
END_NAMESPACE
"""
CPP_SYMBOLS: Definitions = [
    ("A", "class", 2, 8, None),
    ("A", "method", 4, 4, "A"),
    ("get", "method", 5, 5, "A"),
    ("run", "method", 6, 6, "A"),
    ("operator const T *", "method", 7, 7, "A"),
    ("B", "struct", 9, 9, None),
    ("Inner", "class", 10, 10, "A"),
    ("f", "method", 10, 10, "A::Inner"),
    ("operator std::string", "method", 11, 11, "A"),
    ("A", "method", 12, 12, "A"),
]

#: Read without any error, as a function.
ONE_STRUCT = "struct EXPORT Plain { int a; };\n"

KOTLIN = """\
fun interface Callback { fun call() }
class Injected
@Inject
internal constructor(val x: Int) : Base(), Other by x /* the same */ {
    companion object { init { println("${ x }") } }
    val lazily = x ?: object : Callback { override fun call() { run { -> } } }
}
@Target(FIELD)
@MustBeDocumented
@Optional
public annotation class Mark()

/** Another. */
@Target(FIELD)
@Optional
public annotation class Other()
"""
KOTLIN_SYMBOLS: Definitions = [
    ("Callback", "interface", 1, 1, None),
    ("call", "method", 1, 1, "Callback"),
    ("Injected", "class", 2, 7, None),
    ("Companion", "object", 5, 5, "Injected"),
    ("lazily", "property", 6, 6, "Injected"),
    ("call", "function", 6, 6, "Injected.lazily"),
    ("Mark", "class", 11, 11, None),
    ("Other", "class", 16, 16, None),
]


def load(language: str) -> Grammatical:
    grammatical = languages.load(language)
    assert grammatical is not None
    return grammatical


@pytest.mark.parametrize(
    ("language", "source", "expected"),
    [
        ("c", C, C_SYMBOLS),
        ("cpp", CPP, CPP_SYMBOLS),
        ("cpp", ONE_STRUCT, [("Plain", "struct", 1, 1, None)]),
        ("kotlin", KOTLIN, KOTLIN_SYMBOLS),
    ],
)
def test_what_stands_behind_something_that_the_grammar_does_not_know_is_found(
    language: str, source: str, expected: Definitions
) -> None:
    assert definitions_of(language, source) == expected


def test_a_mended_source_is_still_told_as_it_is_written() -> None:
    source = "EXPORT const char *name(int a UNUSED) NOTHROW {\n}\nint other(void) {}\n"
    name, other = symbols_of("c", source)
    assert name.signature == "const char *name(int a UNUSED) NOTHROW"
    assert (other.first_byte, other.end_byte) == (source.index("int other"), len(source) - 1)


def test_a_source_that_gets_no_better_is_read_as_it_is() -> None:
    source = b"int = ;\nint name(void) {}\n"
    as_it_is = load("c")._replace(mend=None)
    ruined = as_it_is._replace(mend=lambda source, _has_errors: source.replace(b")", b"("))
    expected = Extractor(as_it_is).extract(source, seconds=10, max_symbols=10)
    assert [each.name for each in expected[0]] == ["name"]
    assert Extractor(ruined).extract(source, seconds=10, max_symbols=10) == expected


def test_a_source_that_took_half_of_its_time_is_not_mended(monkeypatch: pytest.MonkeyPatch) -> None:
    mended: list[bytes] = []
    grammatical = load("c")._replace(mend=lambda source, _has_errors: mended.append(source))
    extractor = Extractor(grammatical)
    extractor.extract(b"int name(void) {}\n", seconds=0.2, max_symbols=10)
    assert len(mended) == 1
    parse = Extractor._parse

    def slowly(self: Extractor, source: bytes, deadline: float) -> Tree:
        tree = parse(self, source, deadline)
        while time.thread_time() < deadline - 0.09:
            pass
        return tree

    monkeypatch.setattr(Extractor, "_parse", slowly)
    found, _imports = extractor.extract(b"int name(void) {}\n", seconds=0.2, max_symbols=10)
    assert [each.name for each in found] == ["name"]
    assert len(mended) == 1


@pytest.mark.parametrize(
    ("language", "source"),
    [
        ("cpp", "class A " * 40_000),
        ("cpp", "class " + "AB " * 100_000),
        ("cpp", "AB(" * 100_000),
        ("cpp", "AB (A <" * 50_000),
        ("cpp", 'R"(' * 100_000),
        ("cpp", "A_B\n" * 80_000),
        ("cpp", "x" * 300_000),
        ("c", "#if A\n{\n" * 40_000 + "#endif\n" * 40_000),
        ("c", "x\n" + "#if A\n#endif\n" * 25_000),
        ("c", ")" + " AB" * 100_000),
        ("c", "AB" + " " * 300_000),
        ("c", "AB " * 100_000),
        ("c", "int " * 80_000),
        ("kotlin", "class A" + " @B" * 100_000),
        ("kotlin", "class A<" * 40_000),
        ("kotlin", "x" + " " * 300_000 + "}"),
        ("kotlin", '"""' * 99_999),
    ],
)
def test_to_mend_a_source_takes_time_that_grows_with_its_length_only(language: str, source: str) -> None:
    mend = load(language).mend
    assert mend is not None
    begin = time.thread_time()
    mended = mend(source.encode(), True)
    assert time.thread_time() - begin < 3
    assert mended is None or len(mended) == len(source)
