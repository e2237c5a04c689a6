"""``indexq symbols``: where a name is defined in what was indexed."""

from __future__ import annotations

from dataclasses import asdict

import click

from indexing.search import Match, SymbolHit, find_symbols
from settings import load_settings

from .database import Database
from .failures import FAILED
from .output import json_option, print_json, print_table, text

EPILOG = """\b
Examples:
  indexq symbols LeaseBroker
  indexq symbols parse_ --prefix --kind function --language python
  indexq symbols LeseBroker --fuzzy
  indexq symbols main --path src/server --json

\b
Exit codes: 0 found, 1 nothing found.
"""


@click.command(epilog=EPILOG)
@click.argument("name", type=text)
@click.option("--prefix", is_flag=True, help="Find every name that begins with NAME.")
@click.option("--fuzzy", is_flag=True, help="Find names like NAME, the most similar first.")
@click.option("--kind", type=text, help="Only function, method, class, ...")
@click.option("--language", type=text, help="Only this language: python, typescript, ...")
@click.option("--path", type=text, help="Only this file, or this directory and everything below it.")
@click.option("--repository", type=text, help="Only this repository: its name, URL or id.")
@click.option("--commit", type=text, help="In this indexed commit, by full or short id, instead of the newest.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="Show so many at most.")
@json_option
def symbols(
    name: str,
    prefix: bool,
    fuzzy: bool,
    kind: str | None,
    language: str | None,
    path: str | None,
    repository: str | None,
    commit: str | None,
    limit: int,
    as_json: bool,
) -> None:
    """Find where NAME is defined, in the newest indexed commit of each repository."""
    if prefix and fuzzy:
        raise click.UsageError("expected --prefix or --fuzzy, got both")
    match: Match = "prefix" if prefix else "fuzzy" if fuzzy else "exact"
    with Database(load_settings()) as database, database.transaction() as cursor:
        found = find_symbols(
            cursor,
            name,
            match=match,
            kind=kind,
            language=language,
            path=path,
            repository=repository,
            commit=commit,
            limit=limit + 1,  # One more than is shown tells whether there are more.
        )
    shown, more = found[:limit], len(found) > limit
    if as_json:
        print_json({"symbols": [asdict(hit) for hit in shown], "more": more})
    elif shown:
        _print_hits(shown)
    if more and not as_json:
        click.echo(f"Only the first {limit} are shown; see more with --limit, or fewer with a filter.", err=True)
    if not shown:
        if not as_json:
            what = {"exact": "a symbol called", "prefix": "a name that begins with", "fuzzy": "a name like"}[match]
            click.echo(f"indexq: expected {what} {name!r} in what was indexed, found none", err=True)
        click.get_current_context().exit(FAILED)


def _print_hits(hits: list[SymbolHit]) -> None:
    rows = [
        [hit.repository, f"{hit.file}:{hit.first_line}-{hit.last_line}", hit.kind, hit.signature, hit.parent or ""]
        for hit in hits
    ]
    headings = ["Repository", "Location", "Kind", "Signature", "Parent"]
    # Said only where it tells something: most people have one repository.
    first = 0 if len({hit.repository_url for hit in hits}) > 1 else 1
    print_table(headings[first:], [row[first:] for row in rows], whole=["Location"])
