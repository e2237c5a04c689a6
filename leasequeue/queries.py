"""The queue's SQL, read from ``sql/*.sql`` and bound to one schema.

A file holds named statements: ``-- name: <name>`` starts one, the comment lines behind it say which promise it keeps,
and ``{schema}`` stands for the quoted schema. ``-- part: <name>`` starts what several statements have in common:
``{<name>}`` stands for it. What stands between ``/* only <other> */`` and ``/* end */`` is only in the statement
``<other>``, which is the same but for that. Each broker has its own copy: two can use two schemas.
"""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path

_DIRECTORY = Path(__file__).parent / "sql"
_HEAD_LINE = re.compile(r"^-- (name|part): (\w+)\s*$", re.MULTILINE)
_END = "/* end */"
_ONLY = re.compile(r"/\* only (\w+) \*/")
_VARIANT = re.compile(r"/\* only \w+ \*/.*?/\* end \*/\s*", re.DOTALL)
_COMMENT_LINE = re.compile(r"^\s*--.*\n?", re.MULTILINE)


def quote_identifier(name: str) -> str:
    """A name as SQL wants it, safe to put into a statement."""
    return '"' + name.replace('"', '""') + '"'


@lru_cache
def _statements() -> dict[str, str]:
    statements: dict[str, str] = {}
    parts: dict[str, str] = {}
    for path in sorted(_DIRECTORY.glob("*.sql")):
        _, *pieces = _HEAD_LINE.split(path.read_text("utf-8"))
        for kind, name, body in zip(pieces[::3], pieces[1::3], pieces[2::3], strict=True):
            if name in statements or name in parts:
                raise ValueError(f"expected each statement to have a name of its own, got {name} again in {path.name}")
            # A comment would be sent with every call.
            text = _COMMENT_LINE.sub("", body).strip().rstrip(";")
            if kind == "part":
                parts[name] = text
                continue
            for variant in _ONLY.findall(text):
                statements[variant] = _ONLY.sub("", text).replace(_END, "")
            statements[name] = _VARIANT.sub("", text)
    for name, part in parts.items():
        statements = {each: text.replace(f"{{{name}}}", part) for each, text in statements.items()}
    return statements


class Queries:
    """The statements of one schema by name: ``queries["claim"]``."""

    def __init__(self, schema: str) -> None:
        # A percent sign in the schema's name would be read as a parameter by the driver.
        quoted = quote_identifier(schema).replace("%", "%%")
        self._bound = {name: body.replace("{schema}", quoted) for name, body in _statements().items()}

    def __getitem__(self, name: str) -> str:
        return self._bound[name]
