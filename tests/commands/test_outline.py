"""``indexq outline`` and ``indexq dependents``: from a file to what is in it, and to who needs it."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest
from git_repositories import Repository
from index_database import Index

from .conftest import Indexq


@pytest.fixture(autouse=True)
def indexed(database: str, repository: Repository) -> Repository:
    """The repository ``shapes`` with a file that imports another, and a file that cannot be read."""
    repository.commit({"src/use.py": "from square import draw\n", "logo.bin": b"\x00"})
    with closing(psycopg2.connect(database)) as connection:
        Index(database, connection).run(repository.url)
    return repository


def test_an_outline_is_in_the_order_of_the_file(indexq: Indexq) -> None:
    result = indexq("outline", "src/square.py")

    assert (result.exit_code, result.stderr) == (0, "")
    headings, *rows = result.stdout.splitlines()
    assert headings.split() == ["Lines", "Kind", "Signature", "Says"]
    assert [row.split()[:2] for row in rows] == [["1-3", "class"], ["2-3", "method"], ["6-6", "function"]]
    assert "Square: def area(self) -> int" in rows[1]


def test_an_outline_as_json_has_every_field_also_of_an_older_commit(indexq: Indexq, indexed: Repository) -> None:
    found = json.loads(indexq("outline", "src/square.py", "--commit", indexed.head[:8], "--json").stdout)

    assert found["files"] == [
        {
            "repository": "shapes",
            "commit": indexed.head,
            "file": "src/square.py",
            "language": "python",
            "skip_reason": None,
        }
    ]
    assert [(each["name"], each["first_column"], each["exported"]) for each in found["symbols"]] == [
        ("Square", 1, True),
        ("area", 5, True),
        ("draw", 1, True),
    ]


def test_a_skipped_file_says_why(indexq: Indexq) -> None:
    result = indexq("outline", "logo.bin")

    assert (result.exit_code, result.stdout) == (0, "")
    assert "skipped: binary" in result.stderr


def test_dependents_are_the_files_that_import_a_file(indexq: Indexq) -> None:
    result = indexq("dependents", "src/square.py")

    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.splitlines()[1].split() == ["src/use.py:1", "square"]
    found = json.loads(indexq("dependents", "src/square.py", "--json").stdout)
    assert [(each["file"], each["line"]) for each in found["dependents"]] == [("src/use.py", 1)]
    assert found["more"] is False


def test_a_file_that_nobody_imports_is_not_an_error(indexq: Indexq) -> None:
    result = indexq("dependents", "src/use.py")

    assert (result.exit_code, result.stdout) == (0, "")
    assert "nothing that was indexed imports 'src/use.py'" in result.stderr


@pytest.mark.parametrize("command", ["outline", "dependents"])
@pytest.mark.parametrize(
    "options", [["nowhere.py"], ["src/use.py", "--repository", "x"], ["src/use.py", "--commit", "ffff"]]
)
def test_a_file_that_was_not_indexed_is_exit_code_1(indexq: Indexq, command: str, options: list[str]) -> None:
    result = indexq(command, *options)

    assert (result.exit_code, result.stdout) == (1, "")
    assert "path from the top of the repository" in result.stderr


def test_hits_in_several_repositories_say_in_which(indexq: Indexq, database: str, tmp_path: Path) -> None:
    other = Repository.make(tmp_path / "other", {"src/square.py": "def f(): ...\n", "a.py": "import square\n"})
    with closing(psycopg2.connect(database)) as connection:
        Index(database, connection).run(other.url)

    assert {row.split()[0] for row in indexq("outline", "src/square.py").stdout.splitlines()[1:]} == {"other", "shapes"}
    assert {row.split()[0] for row in indexq("dependents", "src/square.py").stdout.splitlines()[1:]} == {
        "other",
        "shapes",
    }
