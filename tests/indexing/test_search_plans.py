"""Each answer is found by an index: on tables large enough that reading all of one would be slower."""

from __future__ import annotations

import re
from typing import Any

import pytest
from index_database import Index

from indexing import names, search
from indexing.queries import query

ROWS = """
INSERT INTO indexing.repositories (name, url) VALUES ('r', '/r');
INSERT INTO indexing.listings (repository_id, has_commits) SELECT id, true FROM indexing.repositories;
INSERT INTO indexing.commits (repository_id, sha, extractors, stats, published_at, listing_id, step, cpp_sources)
SELECT repository_id, repeat('a', 40), 'x', '{}', now(), id, 0, 0 FROM indexing.listings;
UPDATE indexing.repositories AS r SET current_commit_id = c.id FROM indexing.commits AS c;
INSERT INTO indexing.blobs (oid, language, extractor_version, lines, symbol_count)
SELECT sha256(n::text::bytea), 'python', 2, 9, 4 FROM generate_series(1, 6000) AS n;
INSERT INTO indexing.listing_files (listing_id, path, oid, size_bytes, language, blob_id, module)
SELECT l.id, 'd/m' || b.id || '.py', b.oid, 9, 'python', b.id, '/d/m' || b.id
  FROM indexing.blobs AS b, indexing.listings AS l;
INSERT INTO indexing.symbols (blob_id, ordinal, name, kind, first_line, last_line, signature)
SELECT b.id, n, CASE n WHEN 0 THEN '__init__' ELSE 'name_' || b.id || '_' || n END, 'function', 1, 1, ''
  FROM indexing.blobs AS b, generate_series(0, 3) AS n;
INSERT INTO indexing.names SELECT DISTINCT name, indexing.trigram_count(name) FROM indexing.symbols;
INSERT INTO indexing.imports (blob_id, ordinal, line, target, module) SELECT id, 0, 1, 'x', '/d/m' || id + 1
  FROM indexing.blobs;
ANALYZE indexing.symbols; ANALYZE indexing.names; ANALYZE indexing.listing_files; ANALYZE indexing.imports;
"""


class _Explaining:
    """A cursor that keeps the plan of whatever it is asked, and then asks it."""

    def __init__(self, cursor: Any) -> None:
        self._cursor = cursor
        self.plans: list[str] = []

    def execute(self, statement: str, values: Any = None) -> None:
        # Of several statements it is the last one that asks.
        *others, last = re.split(r";\n(?=\w)", statement)
        for each in others:
            self._cursor.execute(each, values)
        self._cursor.execute("EXPLAIN (ANALYZE, TIMING OFF, BUFFERS) " + last, values)
        self.plans.append("\n".join(row[0] for row in self._cursor.fetchall()))
        self._cursor.execute(statement, values)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cursor, name)


def test_no_answer_reads_a_whole_table(index: Index) -> None:
    with index.connection, index.connection.cursor() as real:
        real.execute(ROWS.replace("generate_series(1, 6000)", "generate_series(1, 20000)"))
    with index.connection, index.connection.cursor() as real:
        cursor = _Explaining(real)
        explained: Any = cursor
        assert len(search.find_symbols(explained, "__init__")) == 50
        assert len(search.find_symbols(explained, "name_77_1")) == 1
        assert len(search.find_symbols(explained, "name_7", match="prefix")) == 50
        assert len(search.find_symbols(explained, "__init__", path="d/m77.py")) == 1
        assert len(search.find_symbols(explained, "__inits__", match="fuzzy")) == 50
        assert len(search.outline(explained, "d/m77.py")) == 4
        assert [hit.file for hit in search.dependents(explained, "d/m77.py")] == ["d/m76.py"]
    for plan in cursor.plans:
        for table in ("symbols", "imports", "listing_files"):
            assert f"Seq Scan on {table} " not in plan, plan
            assert f"Seq Scan on indexing.{table} " not in plan, plan
        if "names_from_" in plan:
            # Parts of few names are read faster without their indexes.
            assert sum(map(int, re.findall(r"Rows Removed by Filter: (\d+)", plan))) < 7000, plan


def test_names_of_a_few_contents_are_taken_over_and_searched_without_a_look_at_the_others(index: Index) -> None:
    analyze = ROWS.index("ANALYZE")
    for statement in (ROWS[:analyze], ROWS[analyze:]):
        # With statistics, and without any.
        with index.connection, index.connection.cursor() as real:
            real.execute(statement)
            real.execute("DELETE FROM indexing.names WHERE name IN ('name_77_1', 'name_78_1')")
            real.execute("INSERT INTO indexing.unnamed_contents (blob_ids) VALUES ('{77,78}'), ('{79}')")
            cursor = _Explaining(real)
            explained: Any = cursor
            assert "name_77_1" in names.similar_names(explained, "name_77_1")
            cursor.execute(query("take_names"), {"batches": 8})
        assert all("Seq Scan on symbols " not in plan for plan in cursor.plans), cursor.plans
        assert "Seq Scan on names_from_10 " not in cursor.plans[-1]


@pytest.mark.parametrize("wanted", ["__inits__", "name_77", "nam", "nothing_like_it", "me_7"])
def test_similar_names_are_those_of_one_question_also_where_few_are_looked_at(index: Index, wanted: str) -> None:
    alike = (
        "SELECT name, indexing.similarity(name, %s) AS likeness FROM indexing.names"
        " WHERE name OPERATOR(indexing.%%) %s ORDER BY likeness DESC, name"
    )
    with index.connection, index.connection.cursor() as cursor:
        cursor.execute(ROWS)
        for own in ("0.3", "0.5", "0.7"):
            cursor.execute("SELECT set_config('pg_trgm.similarity_threshold', %s, true)", (own,))
            cursor.execute(alike, (wanted, wanted))
            likely = cursor.fetchall()
            for likeness in (0.45, 0.4):
                if sum(each >= likeness for _, each in likely) >= 10:
                    likely = [(name, each) for name, each in likely if each >= likeness]
            expected = [name for name, _ in likely][:50]
            found = [hit.name for hit in search.find_symbols(cursor, wanted, match="fuzzy", limit=10_000)]
            assert list(dict.fromkeys(found)) == expected
            # A caller's own transaction keeps what it had.
            cursor.execute("SELECT current_setting('pg_trgm.similarity_threshold')::float8")
            assert cursor.fetchall() == [(float(own),)]


@pytest.mark.parametrize("limit", [1, 50, 1000])
def test_pages_add_up_to_every_symbol_once(index: Index, monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    monkeypatch.setattr(search, "_FIRST_PAGE", 7)
    with index.connection, index.connection.cursor() as cursor:
        cursor.execute(ROWS.replace("generate_series(1, 6000)", "generate_series(1, 300)"))
        hits = search.find_symbols(cursor, "", match="prefix", limit=limit)
        assert len(hits) == len(set(hits)) == limit
        assert len(search.find_symbols(cursor, "", match="prefix", limit=5000)) == 1200
        assert len(search.find_symbols(cursor, "__init__", kind="function", limit=5000)) == 300
        assert search.find_symbols(cursor, "__init__", kind="class") == []
