"""The environment: read once, checked against itself, frozen.

Every variable is a field of `Settings` in upper case and is documented in `.env.sample`. A `.env` file in the
working directory is honoured; the real environment wins over it. Importing this module does nothing.
"""

from __future__ import annotations

import math
import os
import re
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import environs
import psycopg2

from database_url import is_transaction_pooler, mask_url, url_problems

#: Seconds that check_connection takes at most. A start that cannot succeed must fail within 10.
CONNECT_SECONDS = 8.0


class SettingsError(Exception):
    """The environment cannot be used. `problems` has one line for each thing to change; no line has a secret."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class ConnectionProblem(SettingsError):
    """A database's URL is well formed, but no session can be opened with it."""

    def __init__(self, problem: str) -> None:
        super().__init__([problem])


# -- what a value may be


@dataclass(frozen=True)
class _Rule:
    """How one variable is read: `expected` is what an error says, `accepts` what else must hold."""

    expected: str
    parse: Callable[[environs.Env, str, Any], Any]
    accepts: Callable[[Any], bool] = lambda value: True
    #: A value that no message may show.
    is_secret: bool = False


def _whole(default: int | None, expected: str, *, least: int, most: int = 2**31 - 1) -> Any:
    rule = _Rule(expected, lambda env, key, unset: env.int(key, unset), lambda n: least <= n <= most)
    return field(default=default, metadata={"rule": rule})


def _seconds(default: float, expected: str, *, least: float = 0.001) -> Any:
    def in_range(value: float) -> bool:
        return math.isfinite(value) and value >= least

    rule = _Rule(expected, lambda env, key, unset: env.float(key, unset), in_range)
    return field(default=default, metadata={"rule": rule})


def _text(default: str, expected: str, accepts: Callable[[str], bool]) -> Any:
    rule = _Rule(expected, lambda env, key, unset: env.str(key, unset), accepts)
    return field(default=default, metadata={"rule": rule})


def _choice(default: str, choices: tuple[str, ...], fold: Callable[[str], str]) -> Any:
    def parse(env: environs.Env, key: str, unset: str) -> str:
        return fold(env.str(key, unset))

    rule = _Rule(f"one of {', '.join(choices)}", parse, lambda value: value in choices)
    return field(default=default, metadata={"rule": rule})


def _token() -> Any:
    rule = _Rule(
        "a token of at least 16 characters",
        lambda env, key, unset: env.str(key, unset),
        lambda token: not token or len(token) >= 16,
        is_secret=True,
    )
    return field(default="", metadata={"rule": rule})


def _amqp_url() -> Any:
    rule = _Rule(
        "empty, or the URL of a RabbitMQ: amqp://USER:PASSWORD@HOST:5672/VHOST",
        lambda env, key, unset: env.str(key, unset).strip(),
        lambda url: not url or re.fullmatch(r"amqps?://([^@/:]+:[^@/]+@)?[^@/:]+(:\d{1,5})?(/[^/]*)?", url) is not None,
        is_secret=True,
    )
    return field(default="", metadata={"rule": rule})


def _switch(default: bool) -> Any:
    rule = _Rule("1 or 0", lambda env, key, unset: env.bool(key, unset))
    return field(default=default, metadata={"rule": rule})


def _words(expected: str, accepts: Callable[[str], bool], *, is_secret: bool = False) -> Any:
    def parse(env: environs.Env, key: str, unset: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(word for word in re.split(r"[,\s]+", env.str(key, "")) if word) or unset

    rule = _Rule(expected, parse, lambda words: all(map(accepts, words)), is_secret)
    return field(default=(), metadata={"rule": rule})


def _is_token(word: str) -> bool:
    host, _, token = word.partition("=")
    return bool(host and token)


def _is_schema_of_our_own(name: str) -> bool:
    reserved = name in ("public", "information_schema", "indexing") or name.startswith("pg_")
    return re.fullmatch(r"[a-z_][a-z0-9_]{0,62}", name) is not None and not reserved


def _is_queue_name(name: str) -> bool:
    # What dramatiq admits; .DQ and .XQ are its own suffixes for delayed and dead messages.
    return re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9._-]{0,62}", name) is not None and not name.endswith((".DQ", ".XQ"))


# -- the settings

#: Those that are URLs of databases, and hold a password.
_URLS = ("supabase_db_url", "supabase_db_direct_url")


@dataclass(frozen=True, repr=False)
class Settings:
    """All settings of the product. Durations are seconds unless the name says otherwise."""

    #: Where queue and index tables live. The only one without a default.
    supabase_db_url: str

    #: Another way to the same database, round a pooler: for LISTEN and for migrations. Empty: there is none.
    supabase_db_direct_url: str = ""

    #: The queue's schema. A schema of its own: `public` belongs to the product beside us.
    queue_schema: str = _text(
        "dramatiq",
        "a schema of its own: lower case letters, digits and _, not public, indexing or pg_*",
        _is_schema_of_our_own,
    )
    queue_name: str = _text("index-repo", "a queue name: letters, digits, . _ -, up to 63", _is_queue_name)

    #: Whether workers start jobs. When not, they stay idle, and jobs are accepted and kept.
    queue_enabled: bool = _switch(True)

    #: RabbitMQ instead of Postgres for the queue; empty: Postgres. The index is in Postgres in either case.
    broker_url: str = _amqp_url()

    #: Jobs that one worker machine runs at once.
    worker_team_size: int = _whole(3, "a whole number of jobs, from 1 to 256", least=1, most=256)
    #: Runs after the first one that failed.
    retry_limit: int = _whole(3, "a whole number of retries, 0 or more", least=0)
    retry_delay: float = _seconds(60.0, "a number of seconds, more than 0")
    retry_max_delay: float = _seconds(180.0, "a number of seconds, more than 0")
    #: Starts whose worker died. Counted apart from errors.
    crash_limit: int = _whole(3, "a whole number of crashed runs, 1 or more", least=1)
    #: How long a job whose actor no worker knows waits for a release that has it: a rolling deploy.
    unknown_actor_window: float = _seconds(600.0, "a number of seconds, 0 or more", least=0)
    #: From enqueue to the dead letter of a job that never finished.
    expire_in_hours: float = _seconds(24.0, "a number of hours, more than 0")
    #: How long a completed job can be looked up.
    archive_completed_after: float = _seconds(3600.0, "a number of seconds, 0 or more", least=0)
    #: How long a dead job can be looked up; 0 keeps it for ever.
    dead_retention_days: float = _seconds(30.0, "a number of days, or 0 for ever", least=0)

    #: A worker that was silent for so long has lost its jobs.
    lease_seconds: float = _seconds(20.0, "a number of seconds, more than 0")
    heartbeat_seconds: float = _seconds(3.0, "a number of seconds, more than 0")
    #: What running jobs get after SIGTERM; stay below the platform's own grace.
    drain_seconds: float = _seconds(30.0, "a number of seconds, 0 or more", least=0)
    #: The longest run of one job.
    job_time_limit: float = _seconds(3600.0, "a number of seconds, more than 0")
    #: Between two looks at the queue when no notification comes.
    poll_interval: float = _seconds(2.0, "a number of seconds, more than 0")
    #: What send() may take before it fails.
    enqueue_timeout: float = _seconds(5.0, "a number of seconds, more than 0")
    #: Bytes of one message; a larger one is refused.
    max_message_bytes: int = _whole(1024 * 1024, "a whole number of bytes, 1 or more", least=1)
    #: A background loop without a sign of life for so long costs its process: it ends, for its supervisor to replace.
    loop_stuck_seconds: float = _seconds(60.0, "a number of seconds, more than 0")

    #: A larger file is listed as skipped.
    index_max_file_bytes: int = _whole(1024 * 1024, "a whole number of bytes, 1 or more", least=1)
    #: A commit with more files is refused.
    index_max_files: int = _whole(500_000, "a whole number of files, 1 or more", least=1)
    #: Parser processes of one job; None: chosen from the cores of the machine.
    index_parallelism: int | None = _whole(None, "a whole number of processes, 1 to 256", least=1, most=256)
    #: Commits of one repository that stay readable beside the current one; older ones are removed now and then.
    index_keep_commits: int = _whole(100, "a whole number of commits, 1 or more", least=1)
    #: The longest git command, a fetch included.
    git_timeout: float = _seconds(600.0, "a number of seconds, more than 0")
    #: Where fetched repositories stay for their next commit; empty: .cache/indexq in the home directory.
    index_cache_directory: str = _text("", "an absolute path", lambda path: not path or Path(path).is_absolute())
    #: What they may take on disk together.
    index_cache_bytes: int = _whole(10 * 1024**3, "a whole number of bytes, 1 or more", least=1, most=2**63 - 1)
    #: HOST=TOKEN for private repositories over https.
    index_git_tokens: tuple[str, ...] = _words("HOST=TOKEN, separated by commas", _is_token, is_secret=True)
    #: A program that git asks for passwords, for hosts without a token.
    index_askpass: str = _text("", "the absolute path of a program", lambda path: not path or Path(path).is_absolute())
    #: Hosts and networks that may be read although their address is not public.
    index_allowed_hosts: tuple[str, ...] = _words(
        "host names or networks such as 10.0.0.0/8, separated by commas", lambda word: "=" not in word
    )
    #: Where repositories of the worker's own machine may lie; empty: anywhere.
    index_local_directories: tuple[str, ...] = _words(
        "absolute paths, separated by commas", lambda path: Path(path).is_absolute()
    )

    health_host: str = _text("127.0.0.1", "an address to listen on", lambda host: " " not in host)
    #: Where the workers serve the health application themselves; None: they do not.
    health_port: int | None = _whole(None, "a port, from 1 to 65535", least=1, most=65535)
    #: Whose workers /ready and /health of a sidecar ask for: those of its machine, or any of the queue.
    health_scope: str = _choice("machine", ("machine", "queue"), str.lower)
    #: Ready jobs that wait longer while nothing moves anywhere mean that the queue is stalled.
    health_stalled_seconds: float = _seconds(60.0, "a number of seconds, more than 0")

    #: Whether the health application shows a page for people at /.
    status_page: bool = _switch(False)
    #: Who gives it sees the page from anywhere; without one it is shown on the machine itself only.
    status_page_token: str = _token()

    #: Whether sends and runs make spans for OpenTelemetry; needs the extra "tracing".
    tracing: bool = _switch(False)

    #: How lines look: JSON, or text for people; auto: text on a terminal.
    log_format: str = _choice("auto", ("auto", "json", "text"), str.lower)
    #: Of our own log lines and dramatiq's.
    log_level: str = _choice("INFO", ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"), str.upper)

    def masked_url(self) -> str:
        """The database URL for logs and messages: without any password."""
        return mask_url(self.supabase_db_url)

    def secret_values(self) -> tuple[str, ...]:
        """What must be read nowhere, as it was given: URLs, ``HOST=TOKEN`` and tokens. For those who mask texts."""
        holders = [each.name for each in fields(self) if _is_secret(each.metadata) or each.name.endswith("_url")]
        values = [getattr(self, name) for name in holders]
        return tuple(text for value in values for text in (value if isinstance(value, tuple) else (value,)) if text)

    def __repr__(self) -> str:
        secrets = {each.name: "***" for each in fields(self) if _is_secret(each.metadata) and getattr(self, each.name)}
        urls = {name: mask_url(vars(self)[name]) for name in _URLS if vars(self)[name]}
        shown = {**vars(self), **secrets, **urls}
        return f"Settings({', '.join(f'{name}={value!r}' for name, value in shown.items())})"


def variable_names() -> tuple[str, ...]:
    """Every environment variable that is read, in the order of `Settings`."""
    return tuple(each.name.upper() for each in fields(Settings))


def load_settings(environ: Mapping[str, str] | None = None, dotenv: Path | None = Path(".env")) -> Settings:
    """Read and check the settings; raises SettingsError with all problems at once.

    environ: instead of the process's environment. dotenv: a file with more variables, which the environment
    overrides; None or a missing file: none. An empty value counts as not set.
    """
    env = _Environment(os.environ if environ is None else environ)
    if dotenv is not None and dotenv.is_file():
        try:
            env.read_env(dotenv, recurse=False)
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(
                [f"expected {dotenv} to be a readable UTF-8 text, got: {type(error).__name__}; repair or remove it"]
            ) from None
    problems: list[str] = []
    values: dict[str, Any] = {}
    for each in fields(Settings):
        key = each.name.upper()
        if each.name in _URLS:
            url = values[each.name] = env.str(key, "").strip()
            problems += url_problems(url, key) if url or key == "SUPABASE_DB_URL" else []
            continue
        rule: _Rule = each.metadata["rule"]
        values[each.name] = each.default
        try:
            value = rule.parse(env, key, each.default)
        except environs.EnvError:
            problems.append(_complaint(key, rule, env))
            continue
        if value is not None and not rule.accepts(value):
            problems.append(_complaint(key, rule, env))
            continue
        values[each.name] = value
    settings = Settings(**values)
    problems += _contradictions(settings)
    if problems:
        raise SettingsError(problems)
    return settings


class _Environment(environs.Env):
    """environs over a mapping that is given, where the original always asks the process's own environment."""

    def __init__(self, given: Mapping[str, str]) -> None:
        super().__init__()
        self._given = given

    def _get_value(self, env_key: str, default: Any) -> Any:
        return self._given.get(env_key) or self._environ.get(env_key) or default


def _is_secret(metadata: Mapping[Any, Any]) -> bool:
    return "rule" in metadata and bool(metadata["rule"].is_secret)


def _complaint(key: str, rule: _Rule, env: environs.Env) -> str:
    got = "another value (not shown)" if rule.is_secret else repr(env.str(key))
    return f"expected {key} to be {rule.expected}, got: {got}; change it in the environment or in .env"


def _contradictions(settings: Settings) -> list[str]:
    """What is wrong between values that are each fine by themselves."""
    problems = []
    direct_url = settings.supabase_db_direct_url
    if direct_url and not url_problems(direct_url) and is_transaction_pooler(direct_url):
        problems.append(
            "expected SUPABASE_DB_DIRECT_URL to be the direct connection or the session pooler (port 5432), where "
            "notifications arrive, got: the transaction pooler (port 6543); correct it, or leave it empty"
        )
    if settings.lease_seconds <= 2 * settings.heartbeat_seconds:
        problems.append(
            "expected LEASE_SECONDS to be more than twice HEARTBEAT_SECONDS "
            f"({settings.heartbeat_seconds:g}), so that one late heartbeat costs no job, "
            f"got: {settings.lease_seconds:g}; raise LEASE_SECONDS or lower HEARTBEAT_SECONDS"
        )
    if settings.retry_max_delay < settings.retry_delay:
        problems.append(
            f"expected RETRY_MAX_DELAY to be at least RETRY_DELAY ({settings.retry_delay:g}), "
            f"got: {settings.retry_max_delay:g}; raise RETRY_MAX_DELAY or lower RETRY_DELAY"
        )
    if settings.poll_interval >= settings.lease_seconds:
        problems.append(
            f"expected POLL_INTERVAL to be less than LEASE_SECONDS ({settings.lease_seconds:g}), "
            f"got: {settings.poll_interval:g}; lower POLL_INTERVAL"
        )
    resting = max(settings.heartbeat_seconds, settings.poll_interval)
    if settings.loop_stuck_seconds <= resting:
        problems.append(
            f"expected LOOP_STUCK_SECONDS to be more than HEARTBEAT_SECONDS and POLL_INTERVAL ({resting:g}), for which "
            f"a loop rests, got: {settings.loop_stuck_seconds:g}; raise LOOP_STUCK_SECONDS"
        )
    if settings.broker_url and not settings.queue_enabled:
        problems.append(
            "expected QUEUE_ENABLED to be 1 with BROKER_URL, since it holds back the queue on Postgres only, got: 0; "
            "stop the workers instead"
        )
    for name, value in (("HEALTH_PORT", settings.health_port), ("TRACING", settings.tracing)):
        if settings.broker_url and value:
            problems.append(
                f"expected {name} to be unset with BROKER_URL, since it asks the queue on Postgres, got: {value}; "
                f"unset {name}, or BROKER_URL"
            )
    needed = _longest_life(settings)
    if settings.expire_in_hours * 3600 <= needed:
        problems.append(
            f"expected EXPIRE_IN_HOURS to be more than {needed / 3600:.1f}, which RETRY_LIMIT + 1 runs of "
            f"JOB_TIME_LIMIT and the delays between them may take, got: {settings.expire_in_hours:g}; "
            "raise EXPIRE_IN_HOURS, or lower JOB_TIME_LIMIT or RETRY_LIMIT"
        )
    return problems


def _longest_life(settings: Settings) -> float:
    """Seconds that a job may take which uses all its retries and runs to its limit each time."""
    delay, delays = settings.retry_delay, 0.0
    for retry in range(settings.retry_limit):
        if delay >= settings.retry_max_delay:
            delays += (settings.retry_limit - retry) * settings.retry_max_delay
            break
        delays += delay
        delay *= 2
    return (settings.retry_limit + 1) * settings.job_time_limit + delays


# -- can we get in


def check_connection(url: str, timeout_seconds: float = CONNECT_SECONDS, *, variable: str = "SUPABASE_DB_URL") -> None:
    """Open a session with `url` and close it. Raises ConnectionProblem with one line that says what to do.

    Never takes longer than `timeout_seconds` and a little: libpq's own timeout counts anew for every address
    of a host, and does not cover the name server.
    """
    answers: list[psycopg2.Error | None] = []

    def connect() -> None:
        try:
            psycopg2.connect(url, connect_timeout=max(2, math.ceil(timeout_seconds))).close()
        except psycopg2.Error as error:
            answers.append(error)
        else:
            answers.append(None)

    attempt = threading.Thread(target=connect, name="check-connection", daemon=True)
    attempt.start()
    attempt.join(timeout_seconds)
    error = answers[0] if answers else TimeoutError()
    if error is not None:
        raise ConnectionProblem(_explain(variable, url, error, timeout_seconds)) from None


#: libpq gives no SQLSTATE for a session that was never opened; its text is all there is. First match counts.
_EXPLANATIONS: tuple[tuple[str, str, str], ...] = (
    ("could not translate host name", "a host that the name server knows", "correct the host, or check the network"),
    (
        "Connection refused",
        "a server that listens at this address, but the connection was refused",
        "start the server, or correct host and port",
    ),
    (
        "password authentication failed",
        "the right user and password, but the server refused them",
        "correct the password; percent-encode special characters in it",
    ),
    (
        "no password supplied",
        "a URL with a password, which the server asks for",
        "put it in: postgresql://USER:PASSWORD@...",
    ),
    (
        "Tenant or user not found",
        "a user that the Supabase pooler knows",
        "use postgres.PROJECT-REF as the user, and the pooler host of the project's region",
    ),
    (
        "root certificate file",
        "the file of its CA where sslrootcert says, since sslmode asks for the server to be verified",
        "download the certificate (Supabase: Database, Settings, SSL) and name it: sslrootcert=/path/of/it.crt",
    ),
    (
        "certificate verify failed",
        "the CA of the server in sslrootcert, but another one has signed the server's certificate",
        "download the certificate of this project again (Supabase: Database, Settings, SSL)",
    ),
    (
        "does not match host name",
        "the name for which the server's certificate was made",
        "use the host name as Supabase shows it, not an address or another name of it",
    ),
    (
        "does not exist",
        "a database and a user that exist on the server",
        "correct the URL's end (/DATABASE) or its user, or create them",
    ),
    (
        "received invalid response",
        "a Postgres server at this address, but something else answers there",
        "correct host and port",
    ),
    ("does not support SSL", "a server that speaks SSL as the URL asks", "correct sslmode in the URL"),
    *(
        (sign, "sslmode=require or stronger: the server takes nothing else", "add ?sslmode=require to the URL")
        for sign in ("SSL required", "SSL connection is required", "no encryption")
    ),
    ("Max client connections", "a pooler with room for a client", "close other clients, or raise its pool size"),
    ("too many", "a server with a free connection", "close other clients, or use the session pooler"),
    ("starting up", "a server that has finished starting", "try again in a moment"),
    ("Network is unreachable", "an address that can be reached", "use the session pooler where there is no IPv6"),
)


def _explain(variable: str, url: str, error: Exception, timeout_seconds: float) -> str:
    shown = mask_url(url)
    if isinstance(error, TimeoutError) or "timeout expired" in str(error):
        return (
            f"expected {variable} to name a server that answers, got no answer from {shown} within "
            f"{timeout_seconds:g} s; check host, port, firewall and network"
        )
    for sign, expected, advice in _EXPLANATIONS:
        if sign in str(error):
            return f"expected {variable} to have {expected}, got: {shown}; {advice}"
    last = (str(error).strip().splitlines() or ["no reason given"])[-1].strip()
    return f"expected {variable} to open a session, got from {shown}: {last}"
