"""Makes the reference from the code: docs/reference/*.md, and the tables of events and metrics.

    .venv/bin/python scripts/reference.py

A test fails while what it would write differs from what is there.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from reference_pages import commands, events, metrics, settings, tables
from throwaway_postgres import ThrowawayPostgres

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"


def pages(url: str) -> dict[Path, str]:
    """Each file of the reference, and what it has to hold; ``url``: a database in which all migrations have run."""
    return {
        DOCS / "reference" / "settings.md": settings.page(),
        DOCS / "reference" / "commands.md": commands.page(),
        DOCS / "reference" / "tables.md": tables.page(url),
        DOCS / "logs.md": _with(DOCS / "logs.md", {"events": events.table}),
        DOCS / "metrics.md": _with(
            DOCS / "metrics.md", {"machine": metrics.table_of_machine, "queue": metrics.table_of_queue}
        ),
    }


def _with(page: Path, makers: dict[str, Callable[[str], str]]) -> str:
    """A page with the tables between its markers made anew."""
    text = page.read_text("utf-8")
    for name, make in makers.items():
        begin, end = f"<!-- {name}: begin, made by scripts/reference.py -->", f"<!-- {name}: end -->"
        if begin not in text or end not in text:
            raise ValueError(
                f"expected {page} to have the lines {begin} and {end}, got none; put them around its table"
            )
        before, _, rest = text.partition(begin)
        present, _, after = rest.partition(end)
        text = f"{before}{begin}\n\n{make(present)}\n\n{end}{after}"
    return text


def main() -> None:
    with ThrowawayPostgres() as server:
        subprocess.run(
            [Path(sys.executable).with_name("indexq"), "migrate"],
            env={**os.environ, "SUPABASE_DB_URL": server.url, "QUEUE_SCHEMA": "dramatiq"},
            check=True,
        )
        for path, text in pages(server.url).items():
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, "utf-8")
            print(path.relative_to(ROOT))


if __name__ == "__main__":
    main()
