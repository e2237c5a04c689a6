"""What commands print: tables for people, one JSON document for programs, and nothing that a terminal would obey."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Final, TypeVar

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

#: Columns where there is no terminal: nothing is folded or cut off, so that grep and awk find it.
_UNLIMITED_WIDTH: Final = 100_000

#: Digits of a commit id that people recognize it by.
_SHORT_SHA: Final = 12

Command = TypeVar("Command", bound=Callable[..., Any])


def json_option(command: Command) -> Command:
    """Adds ``--json``, given to the command as ``as_json``."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead.")(command)


def text(value: str) -> str:
    """The type of arguments that go into Postgres: UTF-8 without NUL characters. Its name is what --help shows."""
    try:
        value.encode()
    except UnicodeEncodeError:
        raise click.BadParameter("expected UTF-8 text, got bytes that are none") from None
    if "\0" in value:
        raise click.BadParameter("expected text, got a NUL character in it")
    return value


def print_json(document: object) -> None:
    """Print one JSON document in ASCII: no terminal and no locale stands between it and its reader."""
    click.echo(json.dumps(document, indent=2, default=_as_json))


def _as_json(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"expected a value that JSON has, got: {type(value).__name__}")


def console(*, stderr: bool = False) -> Console:
    """A console for the stream as it is now. Colours on terminals only; NO_COLOR is honoured."""
    made = Console(stderr=stderr, highlight=False, markup=False, emoji=False)
    if not made.is_terminal:
        made.width = _UNLIMITED_WIDTH
    return made


def print_table(headings: Sequence[str], rows: Sequence[Sequence[str]], *, whole: Sequence[str] = ()) -> None:
    """Print rows under headings. Columns in ``whole`` are never folded: they are there to be copied."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for heading in headings:
        table.add_column(heading, no_wrap=heading in whole, overflow="fold")
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    _print_trimmed(table)


def print_details(facts: Sequence[tuple[str, str]]) -> None:
    """Print names and values below each other. A value may have several lines."""
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in facts:
        table.add_row(name, Text("\n".join(map(printable, value.splitlines()))))
    _print_trimmed(table)


def _print_trimmed(table: Table) -> None:
    out = console()
    if out.is_terminal:
        out.print(table)
        return
    with out.capture() as captured:
        out.print(table)
    for line in captured.get().splitlines():
        click.echo(line.rstrip())


def printable(given: str) -> str:
    """The text with every character escaped that is not seen but obeyed: what was indexed may be hostile."""
    if given.isprintable():
        return given
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in given)


def short_sha(commit: str | None) -> str:
    """A commit as people read it; branch and tag names stay whole."""
    if commit is None:
        return "HEAD"
    is_id = len(commit) in (40, 64) and set(commit) <= set("0123456789abcdef")
    return commit[:_SHORT_SHA] if is_id else commit


def local_time(moment: datetime) -> str:
    """A moment in this machine's time zone, with its offset."""
    return moment.astimezone().isoformat(sep=" ", timespec="seconds")
