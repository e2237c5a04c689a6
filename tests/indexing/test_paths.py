from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from indexing import paths


@given(st.binary(min_size=1))
@example(b'"quoted"')
@example(b"a\\nb")
@example(b"new\nline\xff")
def test_every_path_comes_back_and_fits_into_postgres(path: bytes) -> None:
    text = paths.to_text(path)
    assert paths.to_bytes(text) == path
    assert "\x00" not in text
    text.encode("utf-8")


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("src/Größe.py".encode(), "src/Größe.py"),
        (b"back\\slash", "back\\slash"),
        (b"-rf", "-rf"),
        (b"new\nline", '"new\\nline"'),
        (b'"', '"\\""'),
        (b"bad\xff\x01", '"bad\\377\\001"'),
    ],
)
def test_plain_paths_stay_as_they_are_and_others_are_quoted_as_git_does(path: bytes, text: str) -> None:
    assert paths.to_text(path) == text


def test_a_quoted_path_without_its_end_is_an_error() -> None:
    with pytest.raises(ValueError, match="double quote"):
        paths.to_bytes('"half')
