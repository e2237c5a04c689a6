"""A database as an owner should leave it: migrated by one who may do little else, used by those who may do less."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg2
import pytest
from processes import Command
from throwaway_postgres import ThrowawayPostgres

#: Who logs in, and as a member of which role. All have the same password, to be looked for where it must not be.
LOGINS = {
    "deployer": None,
    "worker_1": "indexq_worker",
    "worker_2": "indexq_worker",
    "api": "indexq_producer",
    "probe": "indexq_observer",
    "stranger": None,
}
PASSWORD = "correct-horse-7"

#: What the administrator does before: an owner that may create schemas and nothing else, the roles of Supabase's public
#: API with rights in all that the owner will ever make, and a table of the application in an exposed schema.
ADMINISTRATOR = """
CREATE ROLE indexq_worker; CREATE ROLE indexq_producer; CREATE ROLE indexq_observer;
CREATE ROLE anon; CREATE ROLE authenticated;
ALTER DEFAULT PRIVILEGES FOR ROLE deployer GRANT ALL ON TABLES TO anon, authenticated, PUBLIC;
ALTER DEFAULT PRIVILEGES FOR ROLE deployer GRANT ALL ON SEQUENCES TO anon, authenticated, PUBLIC;
ALTER DEFAULT PRIVILEGES FOR ROLE deployer GRANT ALL ON FUNCTIONS TO anon, authenticated;
ALTER DEFAULT PRIVILEGES FOR ROLE deployer GRANT USAGE ON SCHEMAS TO anon, authenticated, PUBLIC;
GRANT CREATE ON DATABASE postgres TO deployer;
CREATE TABLE public.application (id integer); GRANT ALL ON public.application TO anon, authenticated;
CREATE FUNCTION public.answer() RETURNS integer RETURN 42;
"""

#: Everything of other schemas than ours that says who may do what.
RIGHTS_ELSEWHERE = """
SELECT 'schema', nspname::text, nspacl::text FROM pg_namespace
 WHERE nspname NOT IN ('dramatiq', 'indexing') AND nspname NOT LIKE 'pg\\_%'
UNION ALL
SELECT 'relation', c.oid::regclass::text, relacl::text FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = relnamespace
 WHERE nspname NOT IN ('dramatiq', 'indexing') AND nspname NOT LIKE 'pg\\_%'
UNION ALL
SELECT 'function', p.oid::regprocedure::text, proacl::text
  FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = pronamespace
 WHERE nspname NOT IN ('dramatiq', 'indexing') AND nspname NOT LIKE 'pg\\_%' AND probin IS NULL
UNION ALL
SELECT 'default', defaclrole::regrole::text || defaclobjtype::text, defaclacl::text FROM pg_default_acl
 WHERE defaclnamespace = 0 OR defaclnamespace::regnamespace::text NOT IN ('dramatiq', 'indexing')
ORDER BY 1, 2
"""


@dataclass
class Guarded:
    """The database, and the URLs of those who log in."""

    administrator: str
    #: What ``RIGHTS_ELSEWHERE`` said before anything of ours was there.
    rights_before: list[tuple[Any, ...]]

    def url_of(self, login: str) -> str:
        parts = urlsplit(self.administrator)
        return urlunsplit(parts._replace(netloc=f"{login}:{PASSWORD}@{parts.hostname}:{parts.port}"))

    def ask(self, statement: str, *values: object, login: str | None = None) -> list[tuple[Any, ...]]:
        """Rows, as the administrator or as somebody else; what was written is kept."""
        with closing(psycopg2.connect(self.url_of(login) if login else self.administrator)) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement, values or None)
                return cursor.fetchall() if cursor.description else []


Run = Callable[..., Command]


def run_indexq(url: str, directory: Path, *arguments: str | Path, **environ: str) -> Command:
    """``indexq`` as a process, which has ended well; its output does not hold the password."""
    indexq = Path(sys.executable).with_name("indexq")
    command = Command([indexq, *arguments], {"SUPABASE_DB_URL": url, **environ}, directory)
    try:
        command.wait()
    finally:
        command.remove()
    assert PASSWORD not in command.stdout + command.stderr
    return command


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """Migrated by the owner, with rights given by ``indexq roles --apply``."""
    with ThrowawayPostgres() as server:
        made = Guarded(server.url, [])
        for login in LOGINS:
            made.ask(f"CREATE ROLE {login} LOGIN PASSWORD %s", PASSWORD)
        made.ask(ADMINISTRATOR)
        for login, role in LOGINS.items():
            if role is not None:
                made.ask(f"GRANT {role} TO {login}")
        made.rights_before = made.ask(RIGHTS_ELSEWHERE)
        directory = tmp_path_factory.mktemp("owner")
        for arguments in (("migrate",), ("roles", "--apply")):
            assert run_indexq(made.url_of("deployer"), directory, *arguments).process.returncode == 0
        made.ask("GRANT pg_read_all_stats TO indexq_observer")  # not the owner's to give
        yield made


@pytest.fixture
def indexq(tmp_path: Path, guarded: Guarded) -> Run:
    """``indexq("probe", "status")``: a command, run to its end by one who logs in."""
    return lambda login, *arguments, **environ: run_indexq(guarded.url_of(login), tmp_path, *arguments, **environ)
