"""The walls of the house: which room may import which, read from the sources."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
ROOMS = {
    "actors",
    "broker",
    "commands",
    "health",
    "health_app",
    "indexing",
    "leasequeue",
    "logs",
    "rabbit_broker",
    "settings",
    "traces",
}

#: What each room may import of the others.
ALLOWED = {
    "settings": set(),
    "leasequeue": set(),
    "indexing": set(),
    "logs": {"leasequeue"},
    "rabbit_broker": {"leasequeue", "settings"},
    "traces": {"leasequeue", "settings"},
    "health": {"leasequeue"},
    # health_app: only its name, for dramatiq to load it in a process of its own
    "broker": {"settings", "leasequeue", "logs", "rabbit_broker", "traces", "health_app"},
    "actors": {"broker", "settings", "leasequeue", "indexing"},
    "health_app": {"broker", "settings", "health", "leasequeue", "indexing"},
    "commands": {"actors", "broker", "settings", "leasequeue", "indexing"},
}


def files_of(room: str) -> list[Path]:
    module = REPOSITORY / f"{room}.py"
    return [module] if module.exists() else sorted((REPOSITORY / room).rglob("*.py"))


def imported_rooms(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.add(node.module or "")
    return {name.partition(".")[0] for name in names} & ROOMS


@pytest.mark.parametrize("room", sorted(ALLOWED))
def test_a_room_imports_only_what_it_may(room: str) -> None:
    files = files_of(room)
    assert files
    for path in files:
        strangers = imported_rooms(path) - ALLOWED[room] - {room}
        assert not strangers, f"{path.relative_to(REPOSITORY)} imports {strangers}"


def test_an_import_of_another_room_would_be_seen(tmp_path: Path) -> None:
    (tmp_path / "module.py").write_text("def late():\n    from indexing.run import index_commit\n    import settings\n")
    assert imported_rooms(tmp_path / "module.py") == {"indexing", "settings"}
