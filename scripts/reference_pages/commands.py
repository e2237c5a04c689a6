"""Every command of ``indexq``, as its own --help tells it."""

from __future__ import annotations

from collections.abc import Iterator

import click

from commands.main import main

#: Characters of a line of help.
WIDTH = 100

HEADER = """\
# Commands

<!-- Made by scripts/reference.py from the commands themselves. Change those. -->

Each with the settings of the workers, from the environment or from `.env` in the working directory. `--json` prints one
document for a program.
"""


def page() -> str:
    """The text of docs/reference/commands.md."""
    parts = [HEADER]
    for path, command in _walk(("indexq",), main):
        # With all names of --help: click keeps those that it was asked with first, and a command may have run before.
        names = main.context_settings["help_option_names"]
        context = click.Context(
            command, info_name=" ".join(path), max_content_width=WIDTH, terminal_width=WIDTH, help_option_names=names
        )
        parts.append(f"{'#' * min(4, len(path) + 1)} `{' '.join(path)}`\n")
        parts.append(f"```text\n{command.get_help(context).rstrip()}\n```\n")
    return "\n".join(parts)


def _walk(path: tuple[str, ...], command: click.Command) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            assert child is not None
            yield from _walk((*path, name), child)
