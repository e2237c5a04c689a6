"""``indexq collect``: what no commit refers to goes, and what one does stays."""

from __future__ import annotations

import json

from git_repositories import Repository
from processes import Command
from sql_access import Sql

from .conftest import Indexq


def test_what_no_commit_refers_to_is_removed(indexq: Indexq, sql: Sql, repository: Repository, worker: Command) -> None:
    assert indexq("index", repository.path, "--wait").exit_code == 0
    assert indexq("collect").stdout == "Removed: 0 contents.\n"
    sql("DELETE FROM indexing.listing_files WHERE path = 'notes.txt'")
    sql("UPDATE indexing.blobs SET created_at = now() - interval '3 days'")
    result = indexq("collect", "--json")
    assert (result.exit_code, json.loads(result.stdout)) == (0, {"removed": 1})
    assert "Square" in indexq("symbols", "Square").stdout
