"""What holds for the symbols of all languages: a signature, and a sample in the tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from indexing import languages

from .parsing import symbols_of


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


def test_every_language_of_the_table_can_be_loaded_and_is_tested() -> None:
    tests = "".join(each.read_text() for each in Path(__file__).parent.glob("test_symbols_of_*.py"))
    for name in languages.LANGUAGES:
        assert (languages.load(name) is None) == (name == languages.TEXT)
        assert name == languages.TEXT or f"\n{name.upper()}_SYMBOLS: Definitions" in tests
