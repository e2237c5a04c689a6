"""One variable changes; everything else in `.env` stays byte for byte."""

from __future__ import annotations

from pathlib import Path

import pytest
from dotenv import dotenv_values
from dotenv_file import set_variable

KEY = "SUPABASE_DB_URL"
NEW = "postgresql://u:p@127.0.0.1:1/d"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"", b"SUPABASE_DB_URL=NEW\n"),
        (b"A=1\nSUPABASE_DB_URL=old\n# end\n", b"A=1\nSUPABASE_DB_URL=NEW\n# end\n"),
        (b"A=1\r\nSUPABASE_DB_URL=old\r\nB=2\r\n", b"A=1\r\nSUPABASE_DB_URL=NEW\r\nB=2\r\n"),
        (b"A=1", b"A=1\nSUPABASE_DB_URL=NEW"),
        (b"A=1\r\nB=2", b"A=1\r\nB=2\r\nSUPABASE_DB_URL=NEW"),
        (b"SUPABASE_DB_URL=old", b"SUPABASE_DB_URL=NEW"),
        (b"SUPABASE_DB_URL=\n", b"SUPABASE_DB_URL=NEW\n"),
        (b"\n\nexport SUPABASE_DB_URL = 'old' # why\nB=2\n", b"\n\nexport SUPABASE_DB_URL = NEW # why\nB=2\n"),
        (b'SUPABASE_DB_URL="old # not a comment"\n', b"SUPABASE_DB_URL=NEW\n"),
        (b"SUPABASE_DB_URL=one\nSUPABASE_DB_URL=two\n", b"SUPABASE_DB_URL=one\nSUPABASE_DB_URL=NEW\n"),
        (b"# SUPABASE_DB_URL=commented\n", b"# SUPABASE_DB_URL=commented\nSUPABASE_DB_URL=NEW\n"),
        (b"T='many\nSUPABASE_DB_URL=inside\n'\n", b"T='many\nSUPABASE_DB_URL=inside\n'\nSUPABASE_DB_URL=NEW\n"),
        (b"NOT_SUPABASE_DB_URL=1\n", b"NOT_SUPABASE_DB_URL=1\nSUPABASE_DB_URL=NEW\n"),
        (b"A=\xff\xfe latin\n", b"A=\xff\xfe latin\nSUPABASE_DB_URL=NEW\n"),
        (b"SUPABASE_DB_URL\n", b"SUPABASE_DB_URL\nSUPABASE_DB_URL=NEW\n"),
    ],
)
def test_only_the_variable_changes(tmp_path: Path, before: bytes, after: bytes) -> None:
    file = tmp_path / ".env"
    file.write_bytes(before)

    assert set_variable(file, KEY, NEW, heading="unused")

    assert file.read_bytes() == after.replace(b"NEW", NEW.encode())
    if b"\xff" not in before:
        assert dotenv_values(file)[KEY] == NEW


def test_a_value_that_is_there_already_is_not_written_again(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text(f"{KEY}={NEW}\n")
    written = file.stat()

    assert not set_variable(file, KEY, NEW, heading="unused")
    assert (file.stat().st_ino, file.stat().st_mtime_ns) == (written.st_ino, written.st_mtime_ns)


def test_a_new_file_is_private_and_says_where_it_comes_from(tmp_path: Path) -> None:
    file = tmp_path / ".env"

    assert set_variable(file, KEY, NEW, heading="Made by a test.")

    assert file.read_text() == f"# Made by a test.\n{KEY}={NEW}\n"
    assert file.stat().st_mode & 0o777 == 0o600


def test_mode_and_link_stay(tmp_path: Path) -> None:
    target = tmp_path / "shared.env"
    target.write_text("A=1\n")
    target.chmod(0o640)
    link = tmp_path / ".env"
    link.symlink_to(target)

    set_variable(link, KEY, NEW, heading="unused")

    assert link.is_symlink()
    assert target.read_text() == f"A=1\n{KEY}={NEW}\n"
    assert target.stat().st_mode & 0o777 == 0o640
    assert sorted(each.name for each in tmp_path.iterdir()) == [".env", "shared.env"]
