"""Every table, view and function: what the server has after the migrations, with what the migrations say of it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg2

from indexing import queries
from leasequeue.migrations import DIRECTORY

ROOT = Path(__file__).resolve().parents[2]

#: Schema -> where its migrations are.
SCHEMAS = {"dramatiq": DIRECTORY, queries.SCHEMA: ROOT / "indexing" / "migrations"}

HEADER = """\
# Tables

<!-- Made by scripts/reference.py from a migrated database and the comments of the migrations. Change those. -->

Made by `indexq migrate`, or by the first worker. The queue's schema has another name where `QUEUE_SCHEMA` says so. Only
the views and functions are meant for others; of the views, [Indexing](../indexing.md#asking) says how to ask them. The
counters of `leasequeue.limits` are in a schema of their own, made when they are first used.
"""

#: What no migration makes, and so none describes: their runner does.
OF_THE_RUNNER = {"migration": "which migrations have run"}

_MAP_LINE = re.compile(r"--   (\w+) {2,}(\S.*)$")
_TABLE = re.compile(r"(?:CREATE TABLE(?: IF NOT EXISTS)?|ALTER TABLE) (\w+)")
_RENAMED = re.compile(r"ALTER TABLE (\w+) RENAME TO (\w+);")
_COLUMN = re.compile(r"(?:\s+|ALTER TABLE \w+ )(?:ADD COLUMN )?(\w+) +[^-]*?[,;]?\s+-- (.+)$")
_MORE = re.compile(r"\s{20,}-- (.+)$")
_INDEX = re.compile(r"\s*(?:EXECUTE format\(')?CREATE (?:UNIQUE )?INDEX (\w+)")
_ROUTINE = re.compile(r"\s*(?:EXECUTE format\(')?CREATE (?:OR REPLACE )?(?:FUNCTION|VIEW) (\w+)")


@dataclass
class Remarks:
    """What the comments of some migrations say, by name."""

    tables: dict[str, str] = field(default_factory=dict)
    columns: dict[tuple[str, str], str] = field(default_factory=dict)
    #: Indexes, functions and views: the comment in front of them.
    others: dict[str, str] = field(default_factory=dict)


def page(url: str) -> str:
    """The text of docs/reference/tables.md, from a database in which all migrations have run."""
    parts = [HEADER]
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        for schema, directory in SCHEMAS.items():
            remarks = read_remarks(sorted(directory.glob("*.sql")))
            parts.append(f"## Schema `{schema}`\n")
            parts += _relations(cursor, schema, remarks)
            parts += _functions(cursor, schema, remarks)
    return "\n".join(parts)


def read_remarks(migrations: Sequence[Path]) -> Remarks:
    """What the comments say; a later migration's word counts."""
    remarks = Remarks(tables=dict(OF_THE_RUNNER))
    for path in migrations:
        _read(path.read_text("utf-8").splitlines(), remarks)
    return remarks


def _read(lines: list[str], remarks: Remarks) -> None:
    table, column, in_map, comment = "", "", False, list[str]()
    others: dict[str, str] = {}
    of_index_before = ""  # a comment is about all indexes that follow it without a gap
    for line in lines:
        in_map = line.startswith("-- Table map") or (in_map and line.startswith("--   "))
        if in_map and (match := _MAP_LINE.match(line)):
            remarks.tables[match[1]] = match[2]
        if match := _RENAMED.match(line):
            _rename(remarks, match[1], match[2])
        if match := _TABLE.match(line):
            table = match[1]
        index = _INDEX.match(line)
        if match := index or _ROUTINE.match(line):
            others.setdefault(match[1], " ".join(comment) or of_index_before)
        of_index_before = others[index[1]] if index else ""
        if match := _COLUMN.match(line):
            column = match[1]
            remarks.columns[table, column] = match[2]
        elif column and (match := _MORE.match(line)):
            remarks.columns[table, column] += f"; {match[1]}"
        else:
            column = ""
        comment = [*comment, line.strip().removeprefix("--").strip()] if line.strip().startswith("--") else []
    remarks.others.update(others)


def _rename(remarks: Remarks, old: str, new: str) -> None:
    for table, column in [each for each in remarks.columns if each[0] == old]:
        remarks.columns[new, column] = remarks.columns.pop((table, column))


def _relations(cursor: Any, schema: str, remarks: Remarks) -> Iterator[str]:
    for name, kind, columns, checks, indexes in _ask(cursor, "relations", schema):
        is_view = kind == "v"
        yield f"### `{schema}.{name}`\n"
        purpose = remarks.others.get(name) if is_view else remarks.tables.get(name)
        yield _sentence(("View. " if is_view else "") + (purpose or "")) + "\n"
        yield from _table(
            ("column", "type", "default", "what it is"),
            ((_code(c), _code(t), _code(d), remarks.columns.get((name, c), "")) for c, t, d in columns),
        )
        if indexes:
            yield from _table(
                ("index", "on", "what it is for"), ((_code(i), _code(on), _purpose(i, remarks)) for i, on in indexes)
            )
        if checks:
            yield from _table(("constraint", "says"), ((_code(c), _code(says)) for c, says in checks))


def _functions(cursor: Any, schema: str, remarks: Remarks) -> Iterator[str]:
    for name, arguments, result in _ask(cursor, "functions", schema):
        yield f"### `{schema}.{name}()`\n"
        yield f"```sql\n{name}({arguments}) RETURNS {result}\n```\n"
        yield _sentence(remarks.others.get(name, "")) + "\n"


def _ask(cursor: Any, name: str, schema: str) -> list[tuple[Any, ...]]:
    cursor.execute((Path(__file__).parent / f"{name}.sql").read_text("utf-8"), {"schema": schema})
    rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows


def _table(head: Sequence[str], rows: Iterator[Sequence[str]]) -> Iterator[str]:
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    lines += [f"| {' | '.join(each.replace('|', chr(92) + '|') for each in row)} |" for row in rows]
    yield "\n".join(lines) + "\n"


def _purpose(index: str, remarks: Remarks) -> str:
    return remarks.others.get(index, "key" if index.endswith(("_pkey", "_key")) else "")


def _code(text: str | None) -> str:
    return f"`{text}`" if text else ""


def _sentence(text: str) -> str:
    text = text.strip()
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", ":")) or not text else ".")
