"""Which database a developer's start uses: the one that was named, else one that runs, else one of our own."""

from __future__ import annotations

import fcntl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from compose_postgres import compose_urls
from dotenv import dotenv_values
from dotenv_file import set_variable
from embedded_postgres import EmbeddedPostgres

from database_url import mask_url
from settings import SettingsError, check_connection, load_settings

KEY = "SUPABASE_DB_URL"

HEADING = "Written by scripts/dev-start.sh; .env.sample explains every setting."

#: For somebody who wants to look at the tables, or to ask `indexq`, after the end.
START_ALONE = ".venv/bin/python scripts/embedded_postgres.py start"
STOP_ALONE = ".venv/bin/python scripts/embedded_postgres.py stop"

_LOOPBACK = ("127.0.0.1", "localhost", "::1")


@contextmanager
def development_database(
    root: Path, environ: Mapping[str, str], keep_running: Callable[[], bool] = lambda: False
) -> Iterator[str]:
    """The URL of a database that lets us in. One that this made itself is stopped in the end, unless ``keep_running``
    says then that somebody still wants to ask it.

    1. SUPABASE_DB_URL in the environment; it must work. 2. The one in `.env`; unless it is on this machine, where
    servers come and go, it must work: we neither replace nor bypass a database that somebody chose. 3. A running
    Compose Postgres. 4. The embedded server under `.local/`. What 3 or 4 found is written to `.env`.
    Raises SettingsError or PostgresError.
    """
    named = environ.get(KEY)
    if named:
        _check({KEY: named})
        print(f"Database: {mask_url(named)} (from the environment)")
        yield named
        return
    file = root / ".env"
    embedded = EmbeddedPostgres(root / ".local" / "postgres")
    noted = (dotenv_values(file).get(KEY) or "") if file.is_file() else ""
    if noted and not _is_of(embedded, noted):
        problem = _problem(noted)
        if problem is None:
            print(f"Database: {mask_url(noted)} (from .env)")
            yield noted
            return
        if not _is_local(noted):
            raise problem
        print(f"The database in .env does not answer ({mask_url(noted)}); looking for another one.")
    for url in compose_urls(root):
        if _problem(url) is None:
            _note(file, url, "Docker Compose")
            yield url
            return
    with _shared(embedded, keep_running):
        url = embedded.start()
        _note(file, url, "embedded, kept under .local/postgres")
        yield url


@contextmanager
def _shared(embedded: EmbeddedPostgres, keep_running: Callable[[], bool]) -> Iterator[None]:
    """Stops the server when the last of those who use it leaves, not the first."""
    embedded.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (embedded.directory / "users").open("a") as users:
        fcntl.flock(users, fcntl.LOCK_SH)
        try:
            yield
        finally:
            try:
                fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                print("Another start still uses the embedded Postgres; it keeps running.")
                return
            if keep_running():
                print(f"Embedded Postgres keeps running for indexq. To stop it: {STOP_ALONE}")
            else:
                embedded.stop()
                print(f"Embedded Postgres stopped. To have it alone: {START_ALONE}")


def _note(file: Path, url: str, where: str) -> None:
    changed = set_variable(file, KEY, url, heading=HEADING)
    print(f"Database: {mask_url(url)} ({where}{', written to .env' if changed else ''})")


def _is_of(embedded: EmbeddedPostgres, url: str) -> bool:
    """Whether `url` was written by an earlier start for our own server, whose port may have changed since."""
    password_file = embedded.directory / "password"
    return password_file.is_file() and f":{password_file.read_text().strip()}@127.0.0.1:" in url


def _is_local(url: str) -> bool:
    try:
        return urlsplit(url).hostname in _LOOPBACK
    except ValueError:
        return False


def _problem(url: str) -> SettingsError | None:
    try:
        _check({KEY: url})
    except SettingsError as error:
        return error
    return None


def _check(environ: Mapping[str, str]) -> None:
    """Form first, so that a malformed URL gets its own message; then whether it lets us in."""
    check_connection(load_settings(environ, dotenv=None).supabase_db_url)
