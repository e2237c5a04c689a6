"""How this product logs: one line per event, as JSON or for a terminal, the job it is about bound to each line.

The rooms write through the standard library, in one form that needs no library to read: ``event key=value ...: text``.
Here the template of such a line is taken apart again, so that its values arrive as values. Lines of others (dramatiq,
uvicorn, an actor's own) come through as they are, in the same form, with the same bound values.
"""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from contextvars import ContextVar
from functools import lru_cache
from typing import Any

import structlog
from structlog.typing import EventDict, WrappedLogger

from leasequeue import current_lease

from .secrets import Masker

#: The loggers whose lines have that form.
OUR_LOGGERS = ("indexq", "indexing", "leasequeue")

#: ``event key=%s key=%d: text %s``
_EVENT = re.compile(r"[a-z]+(?:_[a-z]+)+(?=[ :]|$)")
_PAIR = re.compile(r" ([a-z_]+)=([^\s%]*%[-#0-9.]*[a-z])")
_AS_THEY_ARE = frozenset({"%s", "%d", "%g"})

#: What an actor's run is about beyond the queue's own facts: bound to each line of its thread while it runs.
_about: ContextVar[Mapping[str, Any] | None] = ContextVar("indexq_log_context", default=None)


def bind(facts: Mapping[str, Any]) -> None:
    """Put facts on every line of this thread until :func:`unbind`."""
    _about.set(dict(facts))


def unbind() -> None:
    """Put nothing more on the lines of this thread."""
    _about.set(None)


def configure(form: str, *, level: str, secrets: Iterable[str | None] = ()) -> None:
    """Let all lines of this process leave in one form, through the handlers that the root logger has.

    Parameters:
      form: ``json``, ``text``, or ``auto``: text when the error output is a terminal.
      level: of this product's own loggers and of dramatiq's.
      secrets: texts that must appear in no line, whoever writes it.
    """
    is_terminal = os.isatty(2)
    as_text = form == "text" or (form == "auto" and is_terminal)
    formatter = structlog.stdlib.ProcessorFormatter(
        pass_foreign_args=True,
        foreign_pre_chain=[
            structlog.stdlib.ExtraAdder(),
            _take_apart,
            _add_context,
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        ],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            Masker(secrets),
            *_renderers(as_text, colors=is_terminal),
        ],
    )
    root = logging.getLogger()
    if not root.handlers:
        root.addHandler(logging.StreamHandler(sys.stderr))
    for handler in root.handlers:
        handler.setFormatter(formatter)
    if root.level > logging.INFO:
        root.setLevel(logging.INFO)
    logging.captureWarnings(True)
    for name in ("uvicorn", "uvicorn.access"):
        theirs = logging.getLogger(name)
        if theirs.handlers:  # else it was told to be silent
            theirs.handlers.clear()
            theirs.propagate = True
    set_level(level)


def set_level(level: str) -> None:
    """Say which lines of this product and of dramatiq are written at all."""
    for name in (*OUR_LOGGERS, "dramatiq"):
        logging.getLogger(name).setLevel(level)


# The steps of a line.


def _take_apart(logger: WrappedLogger, method: str, line: EventDict) -> EventDict:
    """``event key=value ...: text`` becomes an event, its values and a text; anything else stays one text."""
    record: logging.LogRecord = line["_record"]
    line["pid"] = record.process
    given = line.pop("positional_args", ())
    is_ours = record.name.partition(".")[0] in OUR_LOGGERS and isinstance(given, tuple)
    if is_ours and (shape := _shape(record.msg)) is not None:
        event, pairs, text = shape
        arguments = list(given)
        line["event"] = event
        for key, value in pairs:
            argument = arguments.pop(0)
            line[key] = argument if value in _AS_THEY_ARE and _is_plain(argument) else value % argument
        if text:
            line["text"] = text % tuple(arguments) if arguments else text
    return line


@lru_cache(maxsize=256)
def _shape(template: str) -> tuple[str, list[tuple[str, str]], str] | None:
    event = _EVENT.match(template)
    if event is None:
        return None
    position, pairs = event.end(), []
    while (pair := _PAIR.match(template, position)) is not None:
        pairs.append((pair[1], pair[2]))
        position = pair.end()
    rest = template[position:]
    if rest and not rest.startswith(":"):
        return None
    return event[0], pairs, rest[1:].strip()


def _is_plain(value: object) -> bool:
    return value is None or isinstance(value, str | int | float)


def _add_context(logger: WrappedLogger, method: str, line: EventDict) -> EventDict:
    """What the thread that writes is busy with. What the line says itself wins."""
    lease = current_lease()
    if lease is not None:
        for key, value in (
            ("job_id", lease.message_id),
            ("queue", lease.queue_name),
            ("attempt", lease.attempt),
            ("worker", lease.worker_id),
        ):
            line.setdefault(key, value)
    for key, value in (_about.get() or {}).items():
        line.setdefault(key, value)
    return line


def _renderers(as_text: bool, *, colors: bool) -> list[Callable[..., Any]]:
    if as_text:
        return [_in_order, structlog.dev.ConsoleRenderer(colors=colors, timestamp_key="time", pad_event_to=24)]
    return [_in_order, structlog.processors.JSONRenderer(default=str, ensure_ascii=True)]


def _in_order(logger: WrappedLogger, method: str, line: EventDict) -> EventDict:
    """The same keys first on every line, for whoever reads them raw."""
    first = ("time", "level", "event", "logger", "pid")
    ordered = {key: line[key] for key in first if key in line}
    return ordered | {key: value for key, value in sorted(line.items()) if key not in ordered}
