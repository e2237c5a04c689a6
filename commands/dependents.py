"""``indexq dependents``: which files import a file."""

from __future__ import annotations

from dataclasses import asdict

import click

from indexing.search import DependentHit, find_files
from indexing.search import dependents as find_dependents
from settings import load_settings

from .database import Database
from .failures import CommandFailed
from .output import json_option, print_json, print_table, text

EPILOG = """\b
Examples:
  indexq dependents src/server.py
  indexq dependents src/server.py --repository app --json

\b
An import counts where its language says by a path which file it means: not in C#, and not where
a build tool decides. Several files may be meant by one import: those nearest are shown.

\b
Exit codes: 0 shown, also when nothing depends on it; 1 there is no such file in what was indexed.
"""


@click.command(epilog=EPILOG)
@click.argument("file", type=text)
@click.option("--repository", type=text, help="Only this repository: its name, URL or id.")
@click.option("--commit", type=text, help="In this indexed commit, by full or short id, instead of the newest.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=1000, show_default=True, help="Show so many at most.")
@json_option
def dependents(file: str, repository: str | None, commit: str | None, limit: int, as_json: bool) -> None:
    """Show the files of the same commit that import FILE, a path from the top of its repository."""
    with Database(load_settings()) as database, database.transaction() as cursor:
        files = find_files(cursor, file, repository=repository, commit=commit)
        # One more than is shown tells whether there are more.
        found = find_dependents(cursor, file, repository=repository, commit=commit, limit=limit + 1)
    if not files:
        raise CommandFailed(
            f"expected a file of an indexed commit, got {file!r}: give its path from the top of the repository"
        )
    shown, more = found[:limit], len(found) > limit
    if as_json:
        print_json({"dependents": [asdict(each) for each in shown], "more": more})
        return
    if shown:
        _print(shown)
    else:
        click.echo(f"indexq: nothing that was indexed imports {file!r}", err=True)
    if more:
        click.echo(f"Only the first {limit} are shown; see more with --limit.", err=True)


def _print(hits: list[DependentHit]) -> None:
    rows = [[each.repository, f"{each.file}:{each.line}", each.target] for each in hits]
    headings = ["Repository", "Location", "Imports"]
    # Said only where it tells something: most people have one repository.
    first = 0 if len({each.repository_url for each in hits}) > 1 else 1
    print_table(headings[first:], [row[first:] for row in rows], whole=["Location"])
