"""``indexq outline``: what a file defines, in its order."""

from __future__ import annotations

from dataclasses import asdict

import click

from indexing.search import SymbolHit, find_files
from indexing.search import outline as find_outline
from settings import load_settings

from .database import Database
from .failures import CommandFailed
from .output import json_option, print_json, print_table, text

EPILOG = """\b
Examples:
  indexq outline src/server.py
  indexq outline src/server.py --repository app --commit 1f3c9a2
  indexq outline src/server.py --json

\b
Exit codes: 0 shown, 1 there is no such file in what was indexed.
"""


@click.command(epilog=EPILOG)
@click.argument("file", type=text)
@click.option("--repository", type=text, help="Only this repository: its name, URL or id.")
@click.option("--commit", type=text, help="In this indexed commit, by full or short id, instead of the newest.")
@json_option
def outline(file: str, repository: str | None, commit: str | None, as_json: bool) -> None:
    """Show what FILE, a path from the top of its repository, defines."""
    with Database(load_settings()) as database, database.transaction() as cursor:
        files = find_files(cursor, file, repository=repository, commit=commit)
        symbols = find_outline(cursor, file, repository=repository, commit=commit)
    if not files:
        raise CommandFailed(
            f"expected a file of an indexed commit, got {file!r}: give its path from the top of the repository"
        )
    if as_json:
        print_json({"files": [asdict(each) for each in files], "symbols": [asdict(each) for each in symbols]})
        return
    for each in files:
        if each.skip_reason is not None:
            click.echo(f"indexq: {each.repository} has {file!r}, and it was skipped: {each.skip_reason}", err=True)
    if symbols:
        _print_symbols(symbols)


def _print_symbols(symbols: list[SymbolHit]) -> None:
    rows = [
        [
            each.repository,
            f"{each.first_line}-{each.last_line}",
            each.kind,
            each.signature if each.parent is None else f"{each.parent}: {each.signature}",
            (each.doc or "").partition("\n")[0],
        ]
        for each in symbols
    ]
    headings = ["Repository", "Lines", "Kind", "Signature", "Says"]
    # Said only where it tells something: most people have one repository.
    first = 0 if len({each.repository_url for each in symbols}) > 1 else 1
    print_table(headings[first:], [row[first:] for row in rows], whole=["Lines"])
