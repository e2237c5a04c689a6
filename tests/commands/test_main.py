"""What holds for every command: help without settings, one line for an expected failure, never a password."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from importlib.metadata import version
from urllib.parse import urlsplit

import click
import pytest

from commands.main import main

from .conftest import Begin, Indexq

COMMANDS = [
    ("index", "."),
    ("status",),
    ("symbols", "main"),
    ("migrate",),
    ("dead", "list"),
    ("queues",),
    ("jobs",),
    ("workers",),
    ("cancel", "4f6c0a52-7d0e-4f0b-9a53-0f8a5d1b2c3d"),
    ("pause", "index-repo"),
    ("resume", "index-repo"),
    ("purge", "index-repo", "--dead"),
    ("collect",),
    ("doctor",),
    ("schedule", "list"),
    ("roles", "--apply"),
]
SECRET = "s3cret-word"


def with_password(url: str, password: str) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=f"{parts.username}:{password}@{parts.hostname}:{parts.port}").geturl()


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port on which connections are accepted by the kernel and never answered."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(8)
        yield listener.getsockname()[1]


def paths(command: click.Command = main, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The names that lead to each command and group."""
    yield path
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            each = command.get_command(context, name)
            assert each is not None
            yield from paths(each, (*path, name))


@pytest.mark.parametrize("arguments", list(paths()), ids=" ".join)
def test_every_command_and_subcommand_has_help_with_examples_that_fits_a_terminal(
    indexq: Indexq, arguments: tuple[str, ...]
) -> None:
    result = indexq(*arguments, "--help", SUPABASE_DB_URL="no url at all")

    assert result.exit_code == 0
    assert f"indexq {' '.join(arguments)}" in result.stdout.partition("Examples:")[2]
    assert all(len(line) <= 120 for line in result.stdout.splitlines())


@pytest.mark.parametrize("arguments", [(), ("index",)], ids=" ".join)
def test_help_has_examples_and_needs_no_settings(begin: Begin, arguments: tuple[str, ...]) -> None:
    command = begin(*arguments, "--help", SUPABASE_DB_URL="no url at all")

    assert command.wait() == 0
    assert "Examples:" in command.stdout
    assert f"indexq {' '.join(arguments)}" in command.stdout.partition("Examples:")[2]
    assert command.stderr == ""


def test_the_version_is_that_of_the_distribution(begin: Begin) -> None:
    command = begin("--version")

    assert command.wait() == 0
    assert command.stdout == f"indexq {version('indexq')}\n"


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_without_a_database_url_every_command_says_what_to_set_and_exits_with_2(
    indexq: Indexq, arguments: tuple[str, ...]
) -> None:
    result = indexq(*arguments, SUPABASE_DB_URL="")

    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("indexq: expected SUPABASE_DB_URL to be the URL of a Postgres database")
    assert result.stderr.count("\n") == 1


def test_a_process_without_a_database_url_says_the_same(begin: Begin) -> None:
    command = begin("status")

    assert command.wait() == 2
    assert command.stdout == ""
    assert command.stderr.startswith("indexq: expected SUPABASE_DB_URL to be the URL of a Postgres database")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (f"https://user:{SECRET}@project.example", "which is SUPABASE_URL"),
        (f"postgresql://user:{SECRET}/x@db.example:5432/product", "a malformed one"),
        (f"mysql://user:{SECRET}@db.example/product", "starts with mysql://"),
        (f"postgresql://user:{SECRET}@db.example:5432", "names a database"),
    ],
    ids=["https", "malformed", "wrong scheme", "no database"],
)
def test_a_url_that_cannot_be_used_is_one_line_without_the_password(begin: Begin, url: str, expected: str) -> None:
    command = begin("status", SUPABASE_DB_URL=url)

    assert command.wait() == 2
    assert command.stdout == ""
    assert expected in command.stderr
    assert SECRET not in command.stderr
    assert command.stderr.count("\n") == 1


def test_two_wrong_settings_are_two_lines(begin: Begin) -> None:
    command = begin("status", SUPABASE_DB_URL="postgresql://u@h/d", RETRY_LIMIT="many", HEALTH_PORT="0")

    assert command.wait() == 2
    assert [line.partition(" to be ")[0] for line in command.stderr.splitlines()] == [
        "indexq: expected RETRY_LIMIT",
        "indexq: expected HEALTH_PORT",
    ]


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_a_wrong_password_is_one_line_and_exit_code_3(
    indexq: Indexq, database: str, arguments: tuple[str, ...]
) -> None:
    result = indexq(*arguments, SUPABASE_DB_URL=with_password(database, SECRET))

    assert (result.exit_code, result.stdout) == (3, "")
    assert "correct the password" in result.stderr
    assert SECRET not in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_server_that_is_not_there_is_exit_code_3(begin: Begin) -> None:
    command = begin("status", "--json", SUPABASE_DB_URL=f"postgresql://user:{SECRET}@127.0.0.1:1/product")

    assert command.wait() == 3
    assert command.stdout == ""
    assert "connection was refused" in command.stderr
    assert SECRET not in command.stderr


def test_a_server_that_never_answers_is_given_up_within_10_seconds(begin: Begin, silent_port: int) -> None:
    started = time.monotonic()
    command = begin("migrate", SUPABASE_DB_URL=f"postgresql://user:{SECRET}@127.0.0.1:{silent_port}/product")

    assert command.wait() == 3
    assert time.monotonic() - started < 10
    assert "got no answer" in command.stderr
    assert SECRET not in command.stderr


@pytest.mark.parametrize(
    "arguments", [each for each in COMMANDS if each not in (("migrate",), ("doctor",))], ids=" ".join
)
def test_a_database_without_our_tables_is_told_to_be_migrated(
    indexq: Indexq, empty_database: str, arguments: tuple[str, ...]
) -> None:
    result = indexq(*arguments, SUPABASE_DB_URL=empty_database)

    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.endswith("Run: indexq migrate\n")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("arguments", [("indx",), ("status", "--all"), ("symbols",)], ids=" ".join)
def test_a_command_line_that_is_none_is_exit_code_2(indexq: Indexq, arguments: tuple[str, ...]) -> None:
    result = indexq(*arguments)

    assert result.exit_code == 2
    assert result.stdout == ""
    assert "Usage:" in result.stderr


@pytest.mark.parametrize("arguments", [("index",), ("symbols",), ("symbols", "x", "--kind")], ids=" ".join)
def test_bytes_that_are_no_text_are_refused(begin: Begin, database: str, arguments: tuple[str, ...]) -> None:
    command = begin(*arguments, b"\xff", SUPABASE_DB_URL=database)

    assert command.wait() == 2
    assert "expected UTF-8 text" in command.stderr
    assert "Traceback" not in command.stderr
