"""The reference says what the code says: what scripts/reference.py would write is what is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import reference
from reference_pages import tables

AGAIN = "run .venv/bin/python scripts/reference.py, and write what a new event or metric means"


def test_each_page_is_what_the_code_makes_of_it(database: str) -> None:
    for path, text in reference.pages(database).items():
        assert path.read_text("utf-8") == text, f"{path.relative_to(reference.ROOT)} is not what the code says: {AGAIN}"


@pytest.mark.parametrize("name", ["logs.md", "metrics.md"])
def test_each_event_and_metric_has_a_meaning(name: str) -> None:
    rows = re.findall(r"^\| `(\w+)` \|.*\| (.*) \|$", (reference.DOCS / name).read_text("utf-8"), re.MULTILINE)
    assert len(rows) > 20
    assert [what for what, meaning in rows if not meaning.strip()] == [], AGAIN


def test_each_table_index_and_function_says_what_it_is_for(database: str) -> None:
    page = tables.page(database)
    for heading, purpose in re.findall(r"^### `(\S+)`\n\n(?:```sql\n.*\n```\n\n)?(.*)$", page, re.MULTILINE):
        assert purpose, f"{heading}: its migration says what it is for in a 'Table map', or in a comment in front of it"
    for index in re.findall(r"^\| `(\w+)` \| `(?:\w+ )?\([^|]*` \|  \|$", page, re.MULTILINE):
        raise AssertionError(f"{index}: its migration says in a comment in front of it which statement needs it")


def test_remarks_are_read_from_comments_as_migrations_have_them(tmp_path: Path) -> None:
    migration = tmp_path / "0001_first.sql"
    migration.write_text(
        "-- Table map\n--   old    what it is\n--\n--   other    no table of the map\n"
        "CREATE TABLE old (\n  a integer NOT NULL,  -- the first\n" + " " * 30 + "-- and more\n  b text\n);\n"
        "-- needed\n-- by a query\nCREATE UNIQUE INDEX by_a ON old (a);\nCREATE INDEX by_b ON old (b);\n\n"
        "CREATE INDEX by_both ON old (a, b);\n"
        "ALTER TABLE old RENAME TO new;\nALTER TABLE new ADD COLUMN c text;  -- the last\n"
    )
    remarks = tables.read_remarks([migration])
    assert remarks.tables["old"] == "what it is"
    assert "other" not in remarks.tables
    assert remarks.columns == {("new", "a"): "the first; and more", ("new", "c"): "the last"}
    assert remarks.others == {"by_a": "needed by a query", "by_b": "needed by a query", "by_both": ""}
