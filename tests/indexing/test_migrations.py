"""An index of an earlier release is the same index after the migrations of this one."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import psycopg2

import indexing
from leasequeue.migrations import migrate

MIGRATIONS = Path(indexing.__file__).parent / "migrations"

#: Two commits that share a content, one skipped path, one path that no index could hold, and what a dead run left.
FIRST_RELEASE = """
INSERT INTO indexing.repositories (id, name, url)
VALUES ('00000000-0000-4000-8000-000000000001', 'app', '/srv/app');
INSERT INTO indexing.blobs (oid, language, extractor_version, lines, symbol_count)
VALUES (decode(repeat('aa', 20), 'hex'), 'python', 1, 2, 1);
INSERT INTO indexing.symbols SELECT id, 0, 'f', 'function', 1, 2, 'def f()', NULL FROM indexing.blobs;
INSERT INTO indexing.commits (repository_id, sha, extractors, stats, published_at)
SELECT '00000000-0000-4000-8000-000000000001', repeat(digit, 40), 'python:1', '{}', now()
  FROM unnest(ARRAY['1', '2']) AS digit;
INSERT INTO indexing.commits (repository_id, sha, extractors)
VALUES ('00000000-0000-4000-8000-000000000001', repeat('3', 40), 'python:1');
INSERT INTO indexing.commit_files (commit_id, position, path, oid, size_bytes, language, blob_id, skip_reason)
SELECT c.id, 0, 'a.py', b.oid, 10, 'python', b.id, NULL FROM indexing.commits AS c, indexing.blobs AS b
UNION ALL
SELECT id, 1, 'module', decode(repeat('bb', 20), 'hex'), NULL, NULL, NULL, 'submodule' FROM indexing.commits
UNION ALL
SELECT commits.id, n, repeat('x', 4000), decode(repeat('cc', 20), 'hex'), 1, 'text', b.id, NULL
  FROM indexing.commits, generate_series(2, 3) AS n, (SELECT max(id) AS id FROM indexing.blobs) AS b (id);
UPDATE indexing.repositories SET current_commit_id = (SELECT max(id) FROM indexing.commits WHERE sha LIKE '2%');
"""


def test_an_index_of_the_first_release_is_shown_as_it_was(empty_database: str, tmp_path: Path) -> None:
    shutil.copy(MIGRATIONS / "0001_index.sql", tmp_path)
    migrate(empty_database, schema="indexing", directory=tmp_path)
    connection = psycopg2.connect(empty_database)

    def rows(statement: str) -> list[tuple[Any, ...]]:
        with connection, connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []

    rows(FIRST_RELEASE)
    shown = "SELECT commit_sha, is_current, path, blob_sha, language, lines, skip_reason FROM indexing.files"
    short = shown + " WHERE length(path) < 1000 ORDER BY 1, 3"
    symbols = "SELECT commit_sha, is_current, path, name, parent FROM indexing.symbols_at_commit WHERE path = 'a.py'"
    before = rows(short), rows(symbols + " ORDER BY 1")
    assert len(before[0]) == 4
    migrate(empty_database, schema="indexing", directory=MIGRATIONS)
    assert rows(symbols + " ORDER BY 1") == before[1]
    assert [row for row in rows(shown + " ORDER BY 1, 3") if row[6] != "path_too_long"] == before[0]
    assert rows("SELECT count(*), count(DISTINCT path) FROM indexing.files WHERE skip_reason = 'path_too_long'") == [
        (4, 2)
    ]
    # New listings do not take the numbers of those that the migration made.
    rows("INSERT INTO indexing.listings (repository_id) SELECT id FROM indexing.repositories")
    connection.close()
