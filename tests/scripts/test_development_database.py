"""Which database a developer's start takes, and what it leaves behind."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from development_database import KEY, development_database
from dotenv import dotenv_values
from embedded_postgres import EmbeddedPostgres

from settings import SettingsError, check_connection

if TYPE_CHECKING:
    from conftest import Server

REFUSED = "postgresql://u:p@127.0.0.1:1/d"

FakeDocker = Callable[..., None]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    directory = tmp_path / "a checkout"
    directory.mkdir()
    return directory


@pytest.fixture(autouse=True)
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeDocker:
    """A `docker` that has no running service, until it is told of one."""
    programs = tmp_path / "programs"
    programs.mkdir()
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")

    def become(*, config: object = None, published: str = "", hangs: bool = False) -> None:
        script = programs / "docker"
        script.write_text(
            "#!/bin/sh\n"
            + ("exec sleep 60\n" if hangs else "")
            + ("" if config is not None else "exit 1\n")
            + 'case "$2" in\n'
            + f"config) cat <<'EOF'\n{json.dumps(config)}\nEOF\n;;\n"
            + f"port) [ \"$3 $4\" = 'db 5432' ] && echo '{published}' ;;\n"
            + "esac\n"
        )
        script.chmod(0o755)

    become()
    return become


def compose_of(url: str) -> dict[str, object]:
    """What `docker compose config` would say of the server behind `url`."""
    parts = urlsplit(url)
    environment = {
        "POSTGRES_USER": parts.username,
        "POSTGRES_PASSWORD": parts.password,
        "POSTGRES_DB": parts.path[1:],
    }
    return {
        "services": {
            "cache": {"image": "redis:7"},
            "db": {"image": "supabase/postgres:15.8", "environment": environment},
        }
    }


def test_the_one_in_the_environment_is_used_and_not_written_down(root: Path, empty_database: str) -> None:
    with development_database(root, {KEY: empty_database}) as url:
        assert url == empty_database

    assert list(root.iterdir()) == []


def test_one_in_the_environment_that_does_not_answer_is_an_error(root: Path) -> None:
    with pytest.raises(SettingsError, match="refused"), development_database(root, {KEY: REFUSED}):
        pass


def test_the_one_in_dotenv_is_used_when_it_answers(root: Path, empty_database: str) -> None:
    (root / ".env").write_text(f"{KEY}={empty_database}\n")

    with development_database(root, {}) as url:
        assert url == empty_database


@pytest.mark.parametrize("chosen", ["https://ref.supabase.co", "postgresql://u:p@db.invalid:5432/postgres"])
def test_a_database_somebody_chose_is_never_replaced(root: Path, chosen: str) -> None:
    (root / ".env").write_text(f"{KEY}={chosen}\n")

    with pytest.raises(SettingsError), development_database(root, {}):
        pass

    assert (root / ".env").read_text() == f"{KEY}={chosen}\n"


def test_a_running_compose_postgres_is_found_by_its_published_port(
    root: Path, server: Server, empty_database: str, docker: FakeDocker
) -> None:
    docker(config=compose_of(empty_database), published=f"0.0.0.0:{urlsplit(server.url).port}")

    with development_database(root, {}) as url:
        assert url == empty_database

    assert dotenv_values(root / ".env") == {KEY: empty_database}
    assert not (root / ".local").exists()


def test_a_local_one_in_dotenv_that_is_gone_gives_way_to_one_that_runs(
    root: Path, server: Server, empty_database: str, docker: FakeDocker
) -> None:
    docker(config=compose_of(empty_database), published=f"[::]:{urlsplit(server.url).port}")
    (root / ".env").write_text(f"# mine\nA=1\n{KEY}={REFUSED}\n")

    with development_database(root, {}) as url:
        assert url == empty_database

    assert (root / ".env").read_text() == f"# mine\nA=1\n{KEY}={empty_database}\n"


@pytest.mark.parametrize("state", [{}, {"config": {"services": {"db": {"image": "postgres"}}}}, {"config": "odd"}])
def test_without_any_an_embedded_one_is_started_kept_and_stopped(
    root: Path, docker: FakeDocker, state: dict[str, object]
) -> None:
    docker(**state)
    embedded = EmbeddedPostgres(root / ".local" / "postgres")
    with development_database(root, {}) as first:
        check_connection(first)
        assert dotenv_values(root / ".env") == {KEY: first}
    assert embedded.pid is None

    with development_database(root, {}) as second:
        assert second == first
    assert embedded.pid is None


def test_a_docker_that_hangs_does_not_hold_up_the_start(
    root: Path, docker: FakeDocker, monkeypatch: pytest.MonkeyPatch
) -> None:
    docker(hangs=True)
    monkeypatch.setattr("compose_postgres.DOCKER_SECONDS", 0.3)

    with development_database(root, {}) as url:
        check_connection(url)


def test_the_embedded_one_runs_until_the_last_user_leaves(root: Path) -> None:
    with development_database(root, {}) as first:
        with development_database(root, {}) as second:
            assert second == first
        check_connection(first)

    assert EmbeddedPostgres(root / ".local" / "postgres").pid is None


def test_the_embedded_one_is_stopped_when_the_work_fails(root: Path) -> None:
    with pytest.raises(ZeroDivisionError), development_database(root, {}):
        _ = 1 / 0

    assert EmbeddedPostgres(root / ".local" / "postgres").pid is None
