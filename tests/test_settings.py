"""The environment is read once, checked against itself, and never gives a password away."""

from __future__ import annotations

import dataclasses
import re
import socket
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from dotenv import dotenv_values

from settings import ConnectionProblem, Settings, SettingsError, check_connection, load_settings, variable_names

if TYPE_CHECKING:
    from conftest import Server

SAMPLE = Path(__file__).resolve().parent.parent / ".env.sample"
SECRET = "s3cret-word"
URL = f"postgresql://someone:{SECRET}@db.example:5432/product"


def load(**environ: str) -> Settings:
    return load_settings({"SUPABASE_DB_URL": URL, **environ}, dotenv=None)


def problems_of(**environ: str) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as caught:
        load(**environ)
    assert SECRET not in str(caught.value)
    return caught.value.problems


def problem_of(**environ: str) -> str:
    (problem,) = problems_of(**environ)
    return problem


def test_the_url_alone_is_enough_and_the_promised_numbers_are_the_defaults() -> None:
    settings = load()

    assert settings.supabase_db_url == URL
    assert (settings.queue_schema, settings.queue_name, settings.worker_team_size) == ("dramatiq", "index-repo", 3)
    assert (settings.retry_limit, settings.retry_delay, settings.retry_max_delay) == (3, 60, 180)
    assert (settings.expire_in_hours, settings.archive_completed_after) == (24, 3600)
    assert (settings.lease_seconds, settings.heartbeat_seconds, settings.drain_seconds) == (20, 3, 30)


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        load().retry_limit = 5  # type: ignore[misc] # exactly what must fail


def test_every_setting_can_be_set_and_an_empty_value_counts_as_not_set() -> None:
    settings = load(RETRY_LIMIT="5", POLL_INTERVAL="0.25", LOG_LEVEL="debug", INDEX_PARALLELISM="4", HEALTH_PORT="")

    assert settings.retry_limit == 5
    assert settings.poll_interval == 0.25
    assert settings.log_level == "DEBUG"
    assert settings.index_parallelism == 4
    assert settings.health_port is None


def test_the_sample_documents_every_variable_with_its_default() -> None:
    sample = dotenv_values(SAMPLE)

    assert set(sample) == set(variable_names())
    given = {key: value for key, value in sample.items() if value} | {"SUPABASE_DB_URL": URL}
    assert load_settings(given, dotenv=None) == load()


def test_the_samples_urls_are_urls_that_are_accepted() -> None:
    lines = [line.lstrip("# ") for line in SAMPLE.read_text().splitlines() if line.startswith("#   SUPABASE")]

    urls = [line.partition("=")[2] for line in lines]
    assert len(urls) == 5
    for url in urls:
        assert load(SUPABASE_DB_URL=url).supabase_db_url == url


class TestDotenv:
    def test_fills_in_what_the_environment_lacks(self, tmp_path: Path) -> None:
        file = tmp_path / ".env"
        file.write_text(f"SUPABASE_DB_URL='{URL}'\nRETRY_LIMIT=7\nCRASH_LIMIT=8\n")

        settings = load_settings({"RETRY_LIMIT": "1"}, dotenv=file)

        assert settings.supabase_db_url == URL
        assert (settings.retry_limit, settings.crash_limit) == (1, 8)

    def test_is_looked_for_in_the_working_directory(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / ".env").write_text(f"SUPABASE_DB_URL={URL}\n")
        monkeypatch.chdir(tmp_path)

        assert load_settings({}).supabase_db_url == URL

    def test_leaves_the_environment_of_the_process_alone(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / ".env").write_text(f"SUPABASE_DB_URL={URL}\nCRASH_LIMIT=8\n")
        monkeypatch.chdir(tmp_path)
        monkeypatch.delenv("CRASH_LIMIT", raising=False)

        load_settings({})

        with pytest.raises(KeyError):
            monkeypatch.delenv("CRASH_LIMIT")

    def test_that_is_not_text_is_a_clear_error(self, tmp_path: Path) -> None:
        file = tmp_path / ".env"
        file.write_bytes(b"SUPABASE_DB_URL=\xff\xfe\n")

        with pytest.raises(SettingsError, match=r"to be a readable UTF-8 text"):
            load_settings({}, dotenv=file)


class TestUrl:
    def test_missing(self) -> None:
        problem = problem_of(SUPABASE_DB_URL="")
        assert problem.startswith("expected SUPABASE_DB_URL to be the URL of a Postgres database, got: nothing; ")

    @pytest.mark.parametrize("url", ["https://ref.supabase.co", "HTTP://u:s3cret-word@ref.supabase.co/x"])
    def test_that_is_the_http_api_is_told_so(self, url: str) -> None:
        assert "which is SUPABASE_URL, the address of the HTTP API" in problem_of(SUPABASE_DB_URL=url)

    @pytest.mark.parametrize(
        ("url", "got"),
        [
            ("mysql://u:s3cret-word@h/d", "a URL that starts with mysql://"),
            ("s3cret-word", "a value without a scheme (not shown)"),
            ("host=h password=s3cret-word", "a value without a scheme (not shown)"),
        ],
    )
    def test_with_another_scheme(self, url: str, got: str) -> None:
        problem = problem_of(SUPABASE_DB_URL=url)
        assert "starts with postgres:// or postgresql://" in problem
        assert f"got: {got}" in problem

    def test_without_a_database(self) -> None:
        for ending in ("", "/", "?sslmode=require"):
            problem = problem_of(SUPABASE_DB_URL=f"postgresql://u:{SECRET}@h:5432{ending}")
            assert "a URL that names a database, got: none after the host h" in problem

    def test_without_a_host(self) -> None:
        assert "a URL with a host, got: none" in problem_of(SUPABASE_DB_URL="postgresql:///d")

    def test_with_a_port_that_cannot_be(self) -> None:
        assert "a port from 1 to 65535" in problem_of(SUPABASE_DB_URL=f"postgresql://u:{SECRET}@h:70000/d")

    def test_with_the_placeholder_left_in(self) -> None:
        assert "placeholder [YOUR-PASSWORD]" in problem_of(SUPABASE_DB_URL="postgresql://u:[YOUR-PASSWORD]@h/d")

    @pytest.mark.parametrize(
        "password",
        ["s3cret-word%zz", "s3cret-word%", "s3cret-word/more", "12/s3cret-word", "p@s3cret-word", "@s3cret-word%q"],
    )
    def test_with_an_unescaped_password_is_not_shown(self, password: str) -> None:
        problem = problem_of(SUPABASE_DB_URL=f"postgresql://u:{password}@h:5432/d")
        assert "percent-encode special characters" in problem

    def test_with_an_unfinished_address_is_not_shown(self) -> None:
        assert "a malformed one" in problem_of(SUPABASE_DB_URL=f"postgresql://u:{SECRET}@[::1/d")

    @pytest.mark.parametrize(
        ("url", "masked"),
        [
            (URL, "postgresql://someone:***@db.example:5432/product"),
            ("postgres://u@h/d", "postgresql://u@h/d"),
            ("postgresql://u:s3cret-word@[::1]:5/d", "postgresql://u:***@[::1]:5/d"),
            (
                "postgresql://h/d?user=u&password=s3cret-word&sslmode=require",
                "postgresql://u:***@h/d?sslmode=require",
            ),
            ("postgresql://u:s3cret-word%40%2F@a:1,b:2/d", "postgresql://u:***@a:1,b:2/d"),
            ("postgresql://%2Fvar%2Frun/d%20e", "postgresql://%2Fvar%2Frun/d%20e"),
        ],
    )
    def test_is_shown_without_its_password(self, url: str, masked: str) -> None:
        settings = load(SUPABASE_DB_URL=url)

        assert settings.masked_url() == masked
        for text in (repr(settings), str(settings), f"{settings}"):
            assert masked in text
            assert SECRET not in text


class TestTheDirectUrl:
    def test_is_optional_and_shown_without_its_password(self) -> None:
        assert load().supabase_db_direct_url == ""
        settings = load(SUPABASE_DB_DIRECT_URL=f"postgresql://other:{SECRET}@direct.example:5432/product")
        assert settings.supabase_db_direct_url.endswith("@direct.example:5432/product")
        assert "supabase_db_direct_url='postgresql://other:***@direct.example:5432/product'" in repr(settings)
        assert SECRET not in repr(settings)

    @pytest.mark.parametrize(
        ("url", "said"),
        [
            ("https://abc.supabase.co", "which is SUPABASE_URL"),
            (f"postgresql://u:{SECRET}@h:70000/d", "a port from 1 to 65535"),
            (f"postgresql://u:{SECRET}@h", "a URL that names a database"),
            ("postgresql://u:[YOUR-PASSWORD]@h/d", "placeholder"),
        ],
    )
    def test_is_held_to_what_the_other_one_is_held_to(self, url: str, said: str) -> None:
        problem = problem_of(SUPABASE_DB_DIRECT_URL=url)
        assert problem.startswith("expected SUPABASE_DB_DIRECT_URL to be ")
        assert said in problem

    def test_is_not_the_transaction_pooler(self) -> None:
        pooler = f"postgresql://postgres.abc:{SECRET}@aws-0-eu-central-1.pooler.supabase.com:{{}}/postgres"
        assert "got: the transaction pooler (port 6543)" in problem_of(SUPABASE_DB_DIRECT_URL=pooler.format(6543))
        assert load(SUPABASE_DB_DIRECT_URL=pooler.format(5432)).supabase_db_direct_url


class TestValues:
    @pytest.mark.parametrize(
        ("key", "value", "expected"),
        [
            ("RETRY_LIMIT", "many", "a whole number of retries, 0 or more"),
            ("RETRY_LIMIT", "-1", "a whole number of retries, 0 or more"),
            ("WORKER_TEAM_SIZE", "0", "a whole number of jobs, from 1 to 256"),
            ("WORKER_TEAM_SIZE", "1.5", "a whole number of jobs, from 1 to 256"),
            ("HEARTBEAT_SECONDS", "0", "a number of seconds, more than 0"),
            ("DRAIN_SECONDS", "nan", "a number of seconds, 0 or more"),
            ("ARCHIVE_COMPLETED_AFTER", "inf", "a number of seconds, 0 or more"),
            ("HEALTH_PORT", "70000", "a port, from 1 to 65535"),
            ("LOG_LEVEL", "LOUD", "one of DEBUG, INFO, WARNING, ERROR, CRITICAL"),
            ("QUEUE_NAME", "two words", "a queue name"),
            ("QUEUE_NAME", "index.DQ", "a queue name"),
            ("QUEUE_SCHEMA", "public", "a schema of its own"),
            ("QUEUE_SCHEMA", "pg_queue", "a schema of its own"),
            ("QUEUE_SCHEMA", "indexing", "a schema of its own"),
            ("QUEUE_SCHEMA", 'q"; DROP', "a schema of its own"),
        ],
    )
    def test_out_of_range_names_key_expectation_and_value(self, key: str, value: str, expected: str) -> None:
        problem = problem_of(**{key: value})

        assert problem.startswith(f"expected {key} to be {expected}")
        assert f"got: {value!r}; " in problem

    @pytest.mark.parametrize(
        ("environ", "start"),
        [
            ({"LEASE_SECONDS": "6"}, "expected LEASE_SECONDS to be more than twice HEARTBEAT_SECONDS (3)"),
            ({"RETRY_MAX_DELAY": "59"}, "expected RETRY_MAX_DELAY to be at least RETRY_DELAY (60)"),
            ({"POLL_INTERVAL": "20"}, "expected POLL_INTERVAL to be less than LEASE_SECONDS (20)"),
            ({"LOOP_STUCK_SECONDS": "3"}, "expected LOOP_STUCK_SECONDS to be more than HEARTBEAT_SECONDS and POLL"),
            ({"EXPIRE_IN_HOURS": "4.1"}, "expected EXPIRE_IN_HOURS to be more than 4.1"),
        ],
    )
    def test_that_contradict_each_other_are_named_together(self, environ: dict[str, str], start: str) -> None:
        assert problem_of(**environ).startswith(start)

    @pytest.mark.parametrize(
        "environ",
        [
            {"LEASE_SECONDS": "6.1"},
            {"RETRY_MAX_DELAY": "60"},
            {"POLL_INTERVAL": "19.9"},
            {"EXPIRE_IN_HOURS": "4.2"},
            {"DEAD_RETENTION_DAYS": "0"},
            {"RETRY_LIMIT": "0", "EXPIRE_IN_HOURS": "1.1"},
            {"RETRY_LIMIT": "2000000", "JOB_TIME_LIMIT": "0.01", "EXPIRE_IN_HOURS": "200000"},
        ],
    )
    def test_that_just_agree_are_accepted(self, environ: dict[str, str]) -> None:
        load(**environ)

    def test_all_problems_are_reported_together(self) -> None:
        problems = problems_of(SUPABASE_DB_URL="", RETRY_LIMIT="x", LOG_LEVEL="xml", LEASE_SECONDS="1")

        named = [problem.split()[1] for problem in problems]
        assert named == ["SUPABASE_DB_URL", "RETRY_LIMIT", "LOG_LEVEL", "LEASE_SECONDS", "POLL_INTERVAL"]


@pytest.fixture
def silent_address() -> Iterator[str]:
    """A port that accepts and never says a word."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        yield f"127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port of ours on which nothing listens."""
    with closing(socket.socket()) as holder:
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]


class TestConnection:
    def problem_with(self, url: str, timeout_seconds: float = 8.0) -> str:
        with pytest.raises(ConnectionProblem) as caught:
            check_connection(url, timeout_seconds)
        (problem,) = caught.value.problems
        assert "\n" not in problem
        assert SECRET not in problem
        return problem

    def test_to_a_server_that_lets_us_in_is_no_problem(self, empty_database: str) -> None:
        check_connection(empty_database)

    def test_with_a_wrong_password(self, empty_database: str) -> None:
        user, _, rest = empty_database.partition("@")
        wrong = f"{user.rpartition(':')[0]}:{SECRET}@{rest}"

        assert "the right user and password, but the server refused them" in self.problem_with(wrong)

    def test_to_a_database_that_does_not_exist(self, empty_database: str) -> None:
        problem = self.problem_with(empty_database.rpartition("/")[0] + "/nowhere")

        assert "a database and a user that exist on the server" in problem
        assert "/nowhere" in problem

    def test_that_is_refused(self, closed_port: int) -> None:
        problem = self.problem_with(f"postgresql://u:{SECRET}@127.0.0.1:{closed_port}/d")
        assert "the connection was refused" in problem

    def test_to_a_host_that_nobody_knows(self) -> None:
        problem = self.problem_with(f"postgresql://u:{SECRET}@no-such-host.invalid/d")
        assert "a host that the name server knows" in problem

    def test_to_a_server_that_never_answers_ends_in_time(self, silent_address: str) -> None:
        began = time.monotonic()

        problem = self.problem_with(f"postgresql://u:{SECRET}@{silent_address}/d", timeout_seconds=0.5)

        assert "got no answer" in problem
        assert time.monotonic() - began < 2

    def test_to_several_silent_addresses_shares_one_deadline(self, silent_address: str) -> None:
        began = time.monotonic()

        problem = self.problem_with(
            f"postgresql://u:{SECRET}@{silent_address},{silent_address},{silent_address}/d", timeout_seconds=2.5
        )

        assert "got no answer" in problem
        assert time.monotonic() - began < 4

    def test_refused_for_another_reason_shows_the_servers_own_words(self, server: Server, empty_database: str) -> None:
        server.run("ALTER DATABASE {} ALLOW_CONNECTIONS false", empty_database.rpartition("/")[2])

        assert "is not currently accepting connections" in self.problem_with(empty_database)


def test_the_token_of_the_status_page_is_shown_to_nobody() -> None:
    assert "short" not in problem_of(STATUS_PAGE_TOKEN="short")
    assert "a-token-of-16-characters" not in repr(load(STATUS_PAGE_TOKEN="a-token-of-16-characters"))


def test_whatever_may_hold_a_secret_is_marked_as_one_and_shown_to_nobody() -> None:
    """Also what is added later: URLs have passwords, and the rest says what it is."""
    for each in dataclasses.fields(Settings):
        if re.search("url|token|password|secret|key$", each.name):
            assert each.name.endswith("_url") or each.metadata["rule"].is_secret, each.name
    settings = load(INDEX_GIT_TOKENS=f"github.com={SECRET}", STATUS_PAGE_TOKEN="a-token-of-16-characters")
    given = {URL, f"github.com={SECRET}", "a-token-of-16-characters"}
    assert given <= set(settings.secret_values())
    assert not any(secret in repr(settings) for secret in (SECRET, "a-token-of-16-characters"))


class TestTokens:
    def test_are_read_and_never_shown(self) -> None:
        settings = load(INDEX_GIT_TOKENS=f"github.com={SECRET}, git.example:8443=other={SECRET}")

        assert settings.index_git_tokens == (f"github.com={SECRET}", f"git.example:8443=other={SECRET}")
        assert SECRET not in repr(settings)

    def test_in_another_form_are_refused_without_showing_them(self) -> None:
        (problem,) = problems_of(INDEX_GIT_TOKENS=SECRET)

        assert "INDEX_GIT_TOKENS to be HOST=TOKEN" in problem


class TestBrokerUrl:
    @pytest.mark.parametrize(
        "url", ["amqp://rabbit", "amqp://u:p%40@rabbit.example:5672/%2F", "amqps://u:p@rabbit:5671/v"]
    )
    def test_of_a_rabbitmq_is_taken(self, url: str) -> None:
        assert load(BROKER_URL=url).broker_url == url

    @pytest.mark.parametrize(
        "url", [f"redis://:{SECRET}@host", f"amqp://u:{SECRET}@host:port", "amqp://", "amqp://user@host"]
    )
    def test_of_anything_else_is_refused_without_being_shown(self, url: str) -> None:
        assert "expected BROKER_URL to be empty, or the URL of a RabbitMQ" in problem_of(BROKER_URL=url)

    def test_is_shown_nowhere(self) -> None:
        assert SECRET not in repr(load(BROKER_URL=f"amqp://u:{SECRET}@host"))

    @pytest.mark.parametrize("more", [{"HEALTH_PORT": "8000"}, {"TRACING": "1"}])
    def test_contradicts_what_asks_the_queue_on_postgres(self, more: dict[str, str]) -> None:
        (name,) = more
        assert f"expected {name} to be unset with BROKER_URL" in problem_of(BROKER_URL="amqp://host", **more)

    def test_contradicts_a_switch_that_holds_back_the_queue_on_postgres(self) -> None:
        told = problem_of(BROKER_URL="amqp://host", QUEUE_ENABLED="0")
        assert "expected QUEUE_ENABLED to be 1 with BROKER_URL" in told
