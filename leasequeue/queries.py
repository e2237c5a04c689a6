"""The queue's SQL, read from ``sql/*.sql`` and bound to one schema.

A file holds named statements: ``-- name: <name>`` starts one, the comment lines behind it say which promise it keeps,
and ``{schema}`` stands for the quoted schema. What stands between ``/* only <other> */`` and ``/* end */`` is only in
the statement ``<other>``, which is the same but for these parts. Each broker has its own copy: two can use two schemas.
"""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path

_DIRECTORY = Path(__file__).parent / "sql"
_NAME_LINE = re.compile(r"^-- name: (\w+)\s*$", re.MULTILINE)
_END = "/* end */"
_ONLY = re.compile(r"/\* only (\w+) \*/")
_PART = re.compile(r"/\* only \w+ \*/.*?/\* end \*/\s*", re.DOTALL)
_COMMENT_LINE = re.compile(r"^\s*--.*\n?", re.MULTILINE)


def quote_identifier(name: str) -> str:
    """A name as SQL wants it, safe to put into a statement."""
    return '"' + name.replace('"', '""') + '"'


@lru_cache
def _statements() -> dict[str, str]:
    found: dict[str, str] = {}
    for path in sorted(_DIRECTORY.glob("*.sql")):
        _, *parts = _NAME_LINE.split(path.read_text("utf-8"))
        for name, body in zip(parts[::2], parts[1::2], strict=True):
            if name in found:
                raise ValueError(f"expected each statement to have a name of its own, got {name} again in {path.name}")
            # A comment would be sent with every call.
            text = _COMMENT_LINE.sub("", body).strip().rstrip(";")
            for variant in _ONLY.findall(text):
                found[variant] = _ONLY.sub("", text).replace(_END, "")
            found[name] = _PART.sub("", text)
    return found


class Queries:
    """The statements of one schema by name: ``queries["claim"]``."""

    def __init__(self, schema: str) -> None:
        # A percent sign in the schema's name would be read as a parameter by the driver.
        quoted = quote_identifier(schema).replace("%", "%%")
        self._bound = {name: body.replace("{schema}", quoted) for name, body in _statements().items()}

    def __getitem__(self, name: str) -> str:
        return self._bound[name]
