"""URLs of databases as texts: what is wrong with one, and how it looks without its password. Nothing here connects."""

from __future__ import annotations

import itertools
import re
from urllib.parse import quote, urlencode

import psycopg2
from psycopg2.extensions import parse_dsn

#: Where a newcomer finds their values.
WHERE_TO_FIND_IT = (
    "copy the connection string from Supabase (Connect, Direct connection or Session pooler), "
    "or use postgresql://USER:PASSWORD@HOST:5432/DATABASE"
)

_URL_SCHEMES = ("postgres://", "postgresql://")
_PLACEHOLDER = "[YOUR-PASSWORD]"
_SECRET_PARAMETERS = frozenset({"password", "sslpassword"})


def mask_url(url: str) -> str:
    """`url` with *** for its password; a URL that cannot be taken apart is not shown at all."""
    if url_problems(url):
        return "(a malformed URL, not shown)"
    parts = parse_dsn(url)
    user = quote(parts.pop("user", ""), safe="")
    secret = ":***" if "password" in parts else ""
    hosts, ports = parts.pop("host", "").split(","), parts.pop("port", "").split(",")
    addresses = ",".join(map(_address, hosts, itertools.chain(ports, itertools.repeat(""))))
    database = parts.pop("dbname")
    others = {key: value for key, value in parts.items() if key not in _SECRET_PARAMETERS}
    return (
        "postgresql://"
        + (f"{user}{secret}@" if user else "")
        + addresses
        + f"/{quote(database, safe='')}"
        + (f"?{urlencode(others)}" if others else "")
    )


def _address(host: str, port: str) -> str:
    shown = f"[{host}]" if ":" in host else quote(host, safe="")
    return f"{shown}:{port}" if port else shown


def url_problems(url: str, variable: str = "SUPABASE_DB_URL") -> list[str]:
    """What is wrong with a URL: no or one line. Pieces of it are shown only where none can be secret."""
    expected = f"expected {variable} to be"
    if not url:
        return [f"{expected} the URL of a Postgres database, got: nothing; {WHERE_TO_FIND_IT}"]
    if url.lower().startswith(("http://", "https://")):
        return [
            f"{expected} a postgresql:// URL, got: {url.partition(':')[0].lower()}://..., which is SUPABASE_URL, "
            f"the address of the HTTP API; {WHERE_TO_FIND_IT}"
        ]
    if not url.startswith(_URL_SCHEMES):
        scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]{0,19})://", url)
        got = f"a URL that starts with {scheme.group()}" if scheme else "a value without a scheme (not shown)"
        return [f"{expected} a URL that starts with postgres:// or postgresql://, got: {got}; {WHERE_TO_FIND_IT}"]
    if _PLACEHOLDER in url:
        return [
            f"{expected} a URL with the database's password, got: the placeholder {_PLACEHOLDER}; "
            "put the password in its place, or reset it in Supabase under Database, Settings"
        ]
    return _part_problems(url, expected)


def _part_problems(url: str, expected: str) -> list[str]:
    unreadable = [
        f"{expected} a URL that libpq can read, got: a malformed one (not shown, it holds the password); "
        "percent-encode special characters in the password: @ is %40, / is %2F, # is %23, % is %25, space is %20"
    ]
    try:
        parts = parse_dsn(url)
    except psycopg2.Error:  # Its text quotes pieces of the URL, and with them of the password.
        return unreadable
    host, port, database = (parts.get(key, "") for key in ("host", "port", "dbname"))
    # An unescaped / or @ in a password moves the borders: its rest turns up as port, host or database.
    if not re.fullmatch(r"[0-9]*(,[0-9]*)*", port) or "@" in host + database:
        return unreadable
    if port and not all(0 < int(each) < 65536 for each in port.split(",") if each):
        return [f"{expected} a URL with a port from 1 to 65535, got another port; correct it"]
    if not host and "hostaddr" not in parts:
        return [f"{expected} a URL with a host, got: none; {WHERE_TO_FIND_IT}"]
    if not database:
        return [
            f"{expected} a URL that names a database, got: none after the host {host}; "
            "end it with /DATABASE (on Supabase: /postgres)"
        ]
    return []


def is_transaction_pooler(url: str) -> bool:
    """Whether a well-formed URL leads to Supabase's transaction pooler, as far as its text tells."""
    parts = parse_dsn(url)
    return parts.get("host", "").endswith(".supabase.com") and parts.get("port") == "6543"
