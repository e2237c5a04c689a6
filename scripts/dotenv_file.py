"""One variable of a `.env` file, changed without touching anything else in it."""

from __future__ import annotations

import io
import os
import re
import tempfile
from contextlib import suppress
from pathlib import Path

from dotenv.parser import parse_stream

#: Bytes that are not UTF-8 pass through unchanged.
_ENCODING = {"encoding": "utf-8", "errors": "surrogateescape"}

_VALUE = r"""'[^']*'|"[^"]*"|[^\r\n]*?(?=[ \t]+\#|[ \t]*(?:[\r\n]|$))"""


def set_variable(file: Path, key: str, value: str, *, heading: str) -> bool:
    """Give `key` the `value` in `file`; whether anything had to change.

    Comments, order, line ends and the missing end of the last line stay. A missing file is made, with `heading`
    as its comment. The file is replaced in one step, keeping its mode and owner; a link stays a link.
    """
    target = file.resolve()
    try:
        before = target.read_bytes().decode(**_ENCODING)
    except FileNotFoundError:
        _replace(target, f"# {heading}\n{key}={value}\n")
        return True
    after = _with_variable(before, key, value)
    if after == before:
        return False
    _replace(target, after)
    return True


def _with_variable(text: str, key: str, value: str) -> str:
    pieces = [(each.key, each.original.string) for each in parse_stream(io.StringIO(text, newline=""))]
    mine = [number for number, (found, _) in enumerate(pieces) if found == key]
    if not mine:
        return _with_line(text, f"{key}={value}")
    lines = [line for _, line in pieces]
    assignment = re.compile(rf"(\s*(?:export\s+)?'?{re.escape(key)}'?[ \t]*=[ \t]*)(?:{_VALUE})", re.VERBOSE)
    last = mine[-1]  # The one that counts.
    lines[last], found = assignment.subn(lambda match: match[1] + value, lines[last], count=1)
    return "".join(lines) if found else _with_line(text, f"{key}={value}")


def _with_line(text: str, line: str) -> str:
    """`text` and one more line, in the manner of the others."""
    newline = "\r\n" if "\r\n" in text else "\n"
    if not text or text.endswith(("\n", "\r")):
        return f"{text}{line}{newline}"
    return f"{text}{newline}{line}"


def _replace(file: Path, text: str) -> None:
    handle, name = tempfile.mkstemp(dir=file.parent, prefix=f"{file.name}.")  # Readable for its owner only.
    fresh = Path(name)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(text.encode(**_ENCODING))
        if file.exists():
            old = file.stat()
            fresh.chmod(old.st_mode)
            with suppress(PermissionError):  # Another owner's file that we may write: it becomes ours.
                os.chown(fresh, old.st_uid, old.st_gid)
        fresh.replace(file)
    except BaseException:
        fresh.unlink()
        raise
