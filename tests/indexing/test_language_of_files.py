"""Which language a file is in, by its name."""

from __future__ import annotations

import pytest

from indexing import languages


@pytest.mark.parametrize(
    ("path", "language"),
    [
        (b"a.py", "python"),
        (b"A.PY", "python"),
        (b"dir.py/README", "text"),
        (b"x/Rakefile", "ruby"),
        (b"types.d.ts", "typescript"),
        (b"app.jsx", "javascript"),
        (b"bad\xff.rs", "rust"),
        (b".py", "text"),
        (b"x.h", "c"),
    ],
)
def test_the_name_of_a_file_says_its_language(path: bytes, language: str) -> None:
    assert languages.language_of(path) == language


def test_a_header_is_cpp_where_there_are_cpp_sources() -> None:
    assert languages.language_of(b"x.h", has_cpp=True) == "cpp"
