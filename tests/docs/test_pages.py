"""What README and the how-to pages tell people to do is done, in their order, against a real server."""

from __future__ import annotations

import secrets
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from embedded_postgres import EmbeddedPostgres
from git_repositories import Repository
from ports import free_port
from processes import ROOT

from .blocks import blocks_of
from .running import Runner


def how_to_pages() -> list[Path]:
    """What the site calls so."""
    (section,) = (each["How to"] for each in NAVIGATION if "How to" in each)
    return [ROOT / "docs" / (each if isinstance(each, str) else next(iter(each.values()))) for each in section]


NAVIGATION = yaml.safe_load((ROOT / "mkdocs.yml").read_text("utf-8"))["nav"]
PAGES = [*(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "docs/quickstart.md")), *how_to_pages()]

#: Pages for whoever has a queue already: with SUPABASE_DB_URL set, and its tables made.
WITH_A_QUEUE = ("api-developers.md", "operations.md")

TRACKED = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]

#: The database of the pages: nobody's.
DOCUMENTED_DATABASE = "postgresql://postgres:PASSWORD@db.example.org:5432/postgres"

#: The repository of the pages, on a server that no test may reach.
DOCUMENTED_REPOSITORY = "https://github.com/encode/starlette"

#: Ports of the pages; a test takes free ones.
DOCUMENTED_PORTS = ("8000", "8080")


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a person has after cloning: a repository of this project's files."""
    directory = tmp_path_factory.mktemp("clone") / "indexq"
    names = subprocess.run(TRACKED, cwd=ROOT, capture_output=True, check=True).stdout.decode().split("\0")
    for name in filter(None, names):
        if (ROOT / name).is_file():
            (directory / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, directory / name)
    repository = Repository(directory)
    repository.git("init", "--quiet", "--initial-branch=main")
    repository.git("add", "--all")
    repository.git("commit", "--quiet", "-m", "first")
    return directory


@pytest.fixture
def runner(checkout: Path, empty_database: str, tmp_path: Path) -> Iterator[Runner]:
    """Runs blocks in a copy of the checkout, with an empty database and nothing of this machine's environment."""
    directory, logs, home = tmp_path / "indexq", tmp_path / "logs", tmp_path / "home"
    shutil.copytree(checkout, directory, symlinks=True)
    install_into(directory / ".venv" / "bin")
    logs.mkdir()
    home.mkdir()
    other = Repository.make(
        tmp_path / "starlette", {"starlette/routing.py": "class Router:\n    def route(self): ...\n"}
    )
    ports = {port: str(free_port()) for port in DOCUMENTED_PORTS}
    role = f"test_{secrets.token_hex(6)}"
    environ = {
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
        "HOME": str(home),
        "TMPDIR": str(tmp_path),
        # one parser is enough for these, and leaves the others of this machine alone
        "INDEX_PARALLELISM": "1",
        # the stand-in of the repository is a directory
        "INDEX_LOCAL_DIRECTORIES": str(tmp_path),
    }
    stand_ins = {
        DOCUMENTED_DATABASE: empty_database,
        DOCUMENTED_REPOSITORY: other.url,
        # without the installation that comes first, which scripts/bootstrap.py has tests of its own for
        "scripts/dev-start.sh": f"HEALTH_PORT={ports['8000']} {shlex.quote(sys.executable)} scripts/dev_start.py",
        **ports,
        # a role is of the whole server, which may be somebody's
        "ROLE api ": f"ROLE {role} ",
        "TO api;": f"TO {role};",
    }
    running = Runner(directory, empty_database, environ, stand_ins, logs)
    yield running
    running.end()
    running.forget_role(role)
    EmbeddedPostgres(directory / ".local" / "postgres").stop(immediate=True)


#: What a page begins with, in its database: the tables of a product that uses pg-boss, as far as the page reads them.
PREPARED = {
    "move-from-pg-boss.md": """
        CREATE TABLE public.repositories (id uuid PRIMARY KEY, url text NOT NULL);
        CREATE SCHEMA pgboss;
        CREATE TYPE pgboss.job_state AS ENUM ('created', 'retry', 'active', 'completed', 'cancelled', 'failed');
        CREATE TABLE pgboss.job (
          id uuid NOT NULL DEFAULT gen_random_uuid(), name text NOT NULL, data jsonb,
          state pgboss.job_state NOT NULL DEFAULT 'created',
          start_after timestamptz NOT NULL DEFAULT now(), created_on timestamptz NOT NULL DEFAULT now()
        );
        INSERT INTO public.repositories VALUES ('11111111-1111-1111-1111-111111111111', 'DOCUMENTED_REPOSITORY');
        INSERT INTO pgboss.job (name, state, data, start_after)
        SELECT name, state::pgboss.job_state, jsonb_build_object(
                 'indexJobId', gen_random_uuid(), 'repositoryId', '11111111-1111-1111-1111-111111111111'),
               now() + wait::interval
          FROM (VALUES ('index-repo', 'created', '0'), ('index-repo', 'retry', '1 hour'), ('index-repo', 'active', '0'),
                       ('other', 'created', '0')) AS jobs (name, state, wait);
    """,
}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_a_page_can_be_followed_from_its_first_block_to_its_last(page: Path, runner: Runner) -> None:
    if page.name in WITH_A_QUEUE:
        runner.give_a_queue()
    if page.name in PREPARED:
        runner.prepare(PREPARED[page.name].replace("DOCUMENTED_REPOSITORY", DOCUMENTED_REPOSITORY))
    for block in blocks_of(page):
        runner.run(block)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_no_block_of_a_page_is_overlooked(page: Path) -> None:
    assert page.read_text("utf-8").count("```") == 2 * len(list(blocks_of(page)))


def install_into(directory: Path) -> None:
    """The programs that an installation would put there, as calls of those that run these tests."""
    directory.mkdir(parents=True)
    for program in ("python", "indexq", "dramatiq"):
        stand_in = directory / program
        stand_in.write_text(f'#!/bin/sh\nexec "{Path(sys.executable).with_name(program)}" "$@"\n')
        stand_in.chmod(0o755)
