"""``indexq symbols``: from a name to file and lines."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest
from git_repositories import Repository
from index_database import Index
from sql_access import Sql

from .conftest import Indexq


@pytest.fixture(autouse=True)
def indexed(database: str, repository: Repository) -> None:
    """The repository ``shapes`` is in the database."""
    with closing(psycopg2.connect(database)) as connection:
        Index(database, connection).run(repository.url)


def test_a_name_is_found_with_file_lines_kind_signature_and_parent(indexq: Indexq) -> None:
    result = indexq("symbols", "area")

    assert result.exit_code == 0
    headings, hit = result.stdout.splitlines()
    assert headings.split() == ["Location", "Kind", "Signature", "Parent"]
    assert hit.split(maxsplit=2)[:2] == ["src/square.py:2-3", "method"]
    assert "def area(self) -> int" in hit
    assert hit.endswith("Square")
    assert result.stderr == ""


def locations(output: str) -> set[str]:
    return {line.split()[0] for line in output.splitlines()[1:]}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["draw"], ["src/square.py:6-6", "web/draw.ts:1-2"]),
        (["draw", "--language", "typescript"], ["web/draw.ts:1-2"]),
        (["draw", "--path", "src"], ["src/square.py:6-6"]),
        (["draw", "--path", "web/draw.ts"], ["web/draw.ts:1-2"]),
        (["Squ", "--prefix"], ["src/square.py:1-3"]),
        (["Sqare", "--fuzzy"], ["src/square.py:1-3"]),
        (["", "--prefix", "--kind", "class"], ["src/square.py:1-3"]),
        (["draw", "--repository", "shapes"], ["src/square.py:6-6", "web/draw.ts:1-2"]),
    ],
    ids=" ".join,
)
def test_filters_narrow_the_search(indexq: Indexq, arguments: list[str], expected: list[str]) -> None:
    assert locations(indexq("symbols", *arguments).stdout) == set(expected)


def test_json_has_every_field(indexq: Indexq, repository: Repository) -> None:
    assert json.loads(indexq("symbols", "area", "--json").stdout) == {
        "symbols": [
            {
                "repository": "shapes",
                "repository_url": repository.url,
                "commit": repository.head,
                "file": "src/square.py",
                "language": "python",
                "name": "area",
                "kind": "method",
                "first_line": 2,
                "last_line": 3,
                "signature": "def area(self) -> int",
                "parent": "Square",
                "first_column": 5,
                "last_column": 16,
                "first_byte": 18,
                "end_byte": 57,
                "doc": None,
                "exported": True,
            }
        ],
        "more": False,
    }


def test_an_older_commit_can_be_asked(indexq: Indexq, database: str, repository: Repository) -> None:
    old = repository.head
    repository.commit({"src/square.py": "def circle(): ...\n"})
    with closing(psycopg2.connect(database)) as connection:
        Index(database, connection).run(repository.url)

    assert indexq("symbols", "Square").exit_code == 1
    assert locations(indexq("symbols", "Square", "--commit", old[:10]).stdout) == {"src/square.py:1-3"}
    assert indexq("symbols", "circle", "--commit", old[:10]).exit_code == 1
    assert indexq("symbols", "Square", "--commit", "not-an-id").exit_code == 1


def test_two_ways_of_comparing_are_one_too_many(indexq: Indexq) -> None:
    assert indexq("symbols", "Square", "--prefix", "--fuzzy").exit_code == 2


def test_a_limit_is_kept_and_said(indexq: Indexq) -> None:
    result = indexq("symbols", "draw", "--limit", "1")

    assert len(locations(result.stdout)) == 1
    assert "Only the first 1" in result.stderr
    assert json.loads(indexq("symbols", "draw", "--limit", "1", "--json").stdout)["more"] is True
    assert indexq("symbols", "draw", "--limit", "2").stderr == ""


@pytest.mark.parametrize("arguments", [["nothing"], ["draw", "--repository", "other"], ["Squ"]], ids=" ".join)
def test_nothing_found_is_exit_code_1(indexq: Indexq, arguments: list[str]) -> None:
    result = indexq("symbols", *arguments)
    assert (result.exit_code, result.stdout) == (1, "")
    assert f"called {arguments[0]!r}" in result.stderr

    result = indexq("symbols", *arguments, "--json")
    assert (result.exit_code, result.stderr) == (1, "")
    assert json.loads(result.stdout) == {"symbols": [], "more": False}


def test_hits_in_several_repositories_say_in_which(indexq: Indexq, database: str, tmp_path: Path) -> None:
    other = Repository.make(tmp_path / "other", {"a.py": "def draw(): ...\n"})
    with closing(psycopg2.connect(database)) as connection:
        Index(database, connection).run(other.url)

    lines = indexq("symbols", "draw").stdout.splitlines()

    assert lines[0].split()[:2] == ["Repository", "Location"]
    assert [line.split()[:2] for line in lines[1:]] == [
        ["other", "a.py:1-1"],
        ["shapes", "src/square.py:6-6"],
        ["shapes", "web/draw.ts:1-2"],
    ]


def test_what_a_terminal_would_obey_is_shown_and_not_obeyed(indexq: Indexq, sql: Sql) -> None:
    sql("UPDATE indexing.symbols SET signature = E'\\x1b]0;title\\x07 \\u202e[red]' WHERE name = 'area'")

    out = indexq("symbols", "area").stdout

    assert r"\x1b]0;title\x07 \u202e[red]" in out
    assert "\x1b" not in out
    assert indexq("symbols", "area", "--json").stdout.isascii()
