"""Who may do what: asked of Postgres's own catalogues, and tried."""

from __future__ import annotations

import os
import re
import shutil
from contextlib import closing
from pathlib import Path

import psycopg2
from psycopg2 import errors

from leasequeue import migrations

from .conftest import RIGHTS_ELSEWHERE, Guarded

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "security.md"
BEGIN, END = "<!-- rights: written by tests/security/test_rights.py -->\n", "<!-- end of rights -->\n"

#: What enqueue() calls when its checks are over.
PLACE = "SELECT dramatiq.place(gen_random_uuid(), 'x', '{}', '0', '1 day', 0, false)"

#: Postgres only warns of a GRANT without effect.
GRANT_THAT_COUNTS = """
DO $$ BEGIN
  GRANT SELECT ON dramatiq.queue TO anon;
  IF NOT has_table_privilege('anon', 'dramatiq.queue', 'SELECT') THEN
    RAISE insufficient_privilege;
  END IF;
END $$
"""

#: What is tried, in words and in SQL. Each is rolled back.
ACTIONS = {
    "send a job: `enqueue()`": "SELECT job_id FROM dramatiq.enqueue('index_repo', queue => 'index-repo')",
    "ask what became of a job: `job()`": "SELECT state FROM dramatiq.job(gen_random_uuid())",
    "wake a worker: `ring()`": "SELECT dramatiq.ring('index-repo')",
    "send past the checks: `place()`": PLACE,
    "read jobs and their payloads": "SELECT FROM dramatiq.queue",
    "read completed jobs and results": "SELECT FROM dramatiq.done",
    "write jobs past the functions": (
        "INSERT INTO dramatiq.queue (message_id, state) VALUES (gen_random_uuid(), 'queued')"
    ),
    "change jobs": "UPDATE dramatiq.queue SET mtime = now()",
    "remove jobs": "DELETE FROM dramatiq.queue",
    "pause a queue": "INSERT INTO dramatiq.paused (queue_name) VALUES ('x')",
    "read files and symbols": "SELECT FROM indexing.symbols_at_commit LIMIT 1",
    "read what depends on what": "SELECT depends_on FROM indexing.dependencies LIMIT 1",
    "read the URLs of repositories": "SELECT url FROM indexing.repositories",
    "write files and symbols": "DELETE FROM indexing.blobs",
    "say what has been migrated": "DELETE FROM dramatiq.migration WHERE false",
    "empty a table at once": "TRUNCATE dramatiq.done",
    "change a table": "ALTER TABLE dramatiq.queue ADD COLUMN x integer",
    "make a table in a schema of ours": "CREATE TABLE indexing.x ()",
    "make a schema": "CREATE SCHEMA x",
    "give rights to others": GRANT_THAT_COUNTS,
}
COLUMNS = {
    "owner": "deployer",
    "worker": "worker_1",
    "producer": "api",
    "observer": "probe",
    "anybody else": "stranger",
}

#: For each of a schema, its tables, sequences and functions: who may do anything with it.
GRANTED = """
SELECT what, name, coalesce(r.rolname, 'PUBLIC') FROM (
  SELECT 'schema' AS what, nspname::text AS name, coalesce(nspacl, acldefault('n', nspowner)) AS acl, nspname
    FROM pg_namespace
  UNION ALL
  SELECT 'relation', c.oid::regclass::text,
         coalesce(relacl, acldefault(CASE relkind WHEN 'S' THEN 's'::"char" ELSE 'r' END, relowner)), nspname
    FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = relnamespace WHERE relkind IN ('r', 'v', 'm', 'p', 'S')
  UNION ALL
  SELECT 'routine', p.oid::regprocedure::text, coalesce(proacl, acldefault('f', proowner)), nspname
    FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = pronamespace
   WHERE NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.objid = p.oid AND d.deptype = 'e')
) AS ours, aclexplode(acl) AS granted
  LEFT JOIN pg_roles AS r ON r.oid = granted.grantee
 WHERE nspname IN ('dramatiq', 'indexing')
   AND coalesce(r.rolname, 'PUBLIC') IN ('PUBLIC', 'anon', 'authenticated', 'stranger')
"""

#: Our functions: name, whether it has its owner's rights, whether its names were bound, whether search_path is fixed.
FUNCTIONS = """
SELECT p.oid::regprocedure::text, p.prosecdef, p.prosqlbody IS NOT NULL,
       EXISTS (SELECT FROM unnest(p.proconfig) AS setting WHERE starts_with(setting, 'search_path='))
  FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace
 WHERE n.nspname IN ('dramatiq', 'indexing')
   AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.objid = p.oid AND d.deptype = 'e')
"""


def may(guarded: Guarded, login: str, statement: str) -> bool:
    with closing(psycopg2.connect(guarded.url_of(login))) as connection, connection.cursor() as cursor:
        try:
            cursor.execute(statement)
        except errors.InsufficientPrivilege:
            return False
    return True


def test_the_table_of_rights_is_what_the_roles_can_and_cannot_do(guarded: Guarded) -> None:
    rows = [f"| | {' | '.join(COLUMNS)} |", f"|---|{'---|' * len(COLUMNS)}"]
    for words, statement in ACTIONS.items():
        answers = ["yes" if may(guarded, login, statement) else "no" for login in COLUMNS.values()]
        rows.append(f"| {words} | {' | '.join(answers)} |")
    table = "\n".join(rows) + "\n"
    print(table)
    before, _, rest = DOCUMENT.read_text().partition(BEGIN)
    written, _, after = rest.partition(END)
    if os.environ.get("WRITE_DOCS"):
        DOCUMENT.write_text(f"{before}{BEGIN}{table}{END}{after}")
    else:
        assert written == table, f"run this test with WRITE_DOCS=1 to write {DOCUMENT.name} anew"


def test_nobody_has_a_right_who_was_not_given_it_whatever_the_owners_defaults_are(guarded: Guarded) -> None:
    assert guarded.ask(GRANTED) == []
    assert not may(guarded, "stranger", "SELECT FROM dramatiq.queue")


def test_what_a_later_migration_makes_is_closed_too_and_open_to_workers_and_observers(
    guarded: Guarded, tmp_path: Path
) -> None:
    shutil.copytree(migrations.DIRECTORY, tmp_path, dirs_exist_ok=True)
    later = tmp_path / f"{migrations.latest() + 1:04}_later.sql"
    later.write_text("CREATE TABLE later (n serial); CREATE FUNCTION later() RETURNS integer RETURN 1;")
    migrations.migrate(guarded.url_of("deployer"), schema="dramatiq", directory=tmp_path)
    try:
        assert guarded.ask(GRANTED) == []
        assert may(guarded, "worker_1", "INSERT INTO dramatiq.later DEFAULT VALUES; SELECT dramatiq.later()")
        assert may(guarded, "probe", "SELECT FROM dramatiq.later")
        assert not may(guarded, "probe", "DELETE FROM dramatiq.later")
        assert not may(guarded, "api", "SELECT FROM dramatiq.later")
    finally:
        guarded.ask(
            "DROP TABLE dramatiq.later; DROP FUNCTION dramatiq.later();"
            "DELETE FROM dramatiq.migration WHERE version = %s",
            migrations.latest() + 1,
        )


def test_no_other_schema_and_no_default_of_the_owner_is_touched(guarded: Guarded) -> None:
    assert guarded.ask(RIGHTS_ELSEWHERE) == guarded.rights_before
    assert {"application", "answer()"} <= {name for _, name, _ in guarded.rights_before}


def test_every_function_reads_names_as_its_author_did(guarded: Guarded) -> None:
    """By a search_path of its own, or because Postgres bound its names when it was made (a body in SQL's own form)."""
    functions = guarded.ask(FUNCTIONS)
    assert functions
    assert [name for name, _, is_bound, is_fixed in functions if not is_bound and not is_fixed] == []
    assert [name for name, has_rights, _, is_fixed in functions if has_rights and not is_fixed] == []


def test_functions_with_the_rights_of_their_owner_are_those_that_producers_call(guarded: Guarded) -> None:
    with_rights = [name for name, has_rights, _, _ in guarded.ask(FUNCTIONS) if has_rights]
    assert {name.partition("(")[0] for name in with_rights} == {"dramatiq.enqueue", "dramatiq.job"}


def test_every_threat_names_tests_that_are_there() -> None:
    named = set(re.findall(r"`(tests/[a-z_/]+\.py)`", DOCUMENT.read_text()))
    assert len(named) > 10
    assert [name for name in sorted(named) if not (DOCUMENT.parents[1] / name).is_file()] == []
