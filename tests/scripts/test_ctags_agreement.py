from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest
from ctags_agreement import compare, rows, rows_of_causes

needs_ctags = pytest.mark.skipif(
    shutil.which("ctags") is None, reason="NOT TESTED: there is no ctags here; install the package universal-ctags"
)


@needs_ctags
def test_pythons_own_library_has_no_definition_that_only_ctags_finds() -> None:
    found = compare(sorted(Path(asyncio.__file__).parent.glob("*.py")))["python"]
    assert found.ctags > 500
    assert found.missing == []


@needs_ctags
def test_what_only_ctags_finds_is_listed(tmp_path: Path) -> None:
    source = tmp_path / "a.py"
    source.write_text("def f(): pass\n@decorated\ndef g(): pass\n")
    only_ctags = tmp_path / "b.js"
    only_ctags.write_text("a = function named() {};\nfunction f() {}\nvar g = (function () {\n})();\n")
    found = compare([source, only_ctags])
    assert (found["python"].same_line, found["python"].found) == (2, 1.0)
    assert [each.rpartition(" ")[2] for each in found["javascript"].missing] == ["named"]
    assert [(each.missing, each.found) for each in found["javascript"].inventions.values()] == [(1, 0)]
    assert len(list(rows(found))) == 4
    assert len(list(rows_of_causes(found))) == 3
