"""What is stored together, and when: little is left behind the last parse, and no file waits for another's content."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from index_database import Index
from waiting import wait_until

from indexing import frames
from indexing.background import Background
from indexing.batches import Batches
from indexing.found import Symbol
from indexing.frames import Parsed, Rows
from indexing.listing import Entry
from indexing.report import Reporter
from indexing.store import Blob

#: Of each content.
SYMBOLS = 10


class Stored:
    """The files that were stored, in their order."""

    def __init__(self) -> None:
        self.files: list[Entry] = []

    def add(self, entries: Sequence[Entry], ids: Mapping[Blob, int]) -> None:
        self.files += entries
        for entry in entries:
            assert (entry.skip_reason is None) == (entry.language is not None)
            assert entry.language is None or Blob(entry.oid, entry.language) in ids


def files(count: int) -> list[Entry]:
    return [Entry(f"{n:03}.py", f"{n:040x}", 10, "python", None) for n in range(count)]


def rows_of_a_file() -> Rows:
    symbols = [Symbol(f"f{n}", "function", n + 1, n + 1, "", None) for n in range(SYMBOLS)]
    answer = bytearray(frames.encode_parsed(Parsed(SYMBOLS, None, symbols)))
    return frames.decode_parsed(frames.unpack(answer) or b"")


def batches_of(index: Index, run: Callable[[Batches, Callable[[], object]], None]) -> Stored:
    """What is stored of a run, which gets something that waits until nothing is being stored."""
    stored = Stored()
    with Background("store") as storing:
        batches = Batches(index.connection, Reporter(lambda _: None), storing, stored.add)
        run(batches, lambda: wait_until(lambda: not storing.is_busy))
        batches.finish()
        assert batches.files_left == 0
    return stored


def test_the_less_is_left_the_less_is_stored_at_a_time(index: Index) -> None:
    # Given contents that are parsed no faster than they are stored,
    def run(batches: Batches, settle: Callable[[], object]) -> None:
        for blob in batches.expect(files(400)):
            batches.add(blob, rows_of_a_file(), 10)
            settle()

    # When all are stored,
    stored = batches_of(index, run)
    # Then first it is a part of them, behind the last parse hardly anything, and never next to nothing.
    rows = index.rows("SELECT cardinality(blob_ids) FROM indexing.unnamed_contents ORDER BY id")
    *sizes, last = [size for (size,) in rows]
    assert sum(sizes) + last == len(stored.files) == 400
    assert sizes[0] < 200
    assert min(sizes) * SYMBOLS >= 500 > last * SYMBOLS


def test_files_are_stored_when_their_own_contents_are(index: Index) -> None:
    # Given a file at the beginning whose content comes last,
    def run(batches: Batches, settle: Callable[[], object]) -> None:
        first, *others = batches.expect(files(400))
        for blob in others:
            batches.add(blob, rows_of_a_file(), 10)
            settle()
        # Then most of the others do not wait for it.
        assert batches.files_left < 200
        batches.add(first, rows_of_a_file(), 10)

    assert {each.path for each in batches_of(index, run).files[-1:]} == {"000.py"}


def test_a_content_of_many_files_is_parsed_once_and_stored_for_each(index: Index) -> None:
    def run(batches: Batches, settle: Callable[[], object]) -> None:
        same = [entry._replace(oid="a" * 40) for entry in files(300)]
        # Given files of one content, of which one in another language, and one that is skipped,
        same[1] = same[1]._replace(language="text")
        same[2] = same[2]._replace(language=None, skip_reason="too_large")
        asked = batches.expect(same[:100]), batches.expect(same[100:])
        # Then it is asked for once in each language,
        assert asked == ([Blob("a" * 40, "python"), Blob("a" * 40, "text")], [])
        for blob in asked[0]:
            batches.add(blob, rows_of_a_file(), 10)

    # and all files are there.
    stored = batches_of(index, run)
    assert len({entry.path for entry in stored.files}) == len(stored.files) == 300


def test_files_whose_content_cannot_be_read_say_so(index: Index) -> None:
    def run(batches: Batches, settle: Callable[[], object]) -> None:
        broken, whole = batches.expect(files(2))
        batches.add(broken, None, 0)
        batches.add(whole, rows_of_a_file(), 10)

    stored = batches_of(index, run)
    assert [(entry.path, entry.skip_reason) for entry in stored.files] == [("000.py", "missing"), ("001.py", None)]


def test_files_that_wait_for_nothing_are_stored_as_they_come(index: Index) -> None:
    def run(batches: Batches, settle: Callable[[], object]) -> None:
        skipped = [entry._replace(language=None, skip_reason="too_large") for entry in files(1200)]
        assert batches.expect(skipped) == []
        settle()
        assert batches.files_left == 0

    assert len(batches_of(index, run).files) == 1200


def test_a_run_that_fails_keeps_its_contents_and_stores_no_file(index: Index) -> None:
    stored = Stored()
    with Background("store") as storing:
        batches = Batches(index.connection, Reporter(lambda _: None), storing, stored.add)
        for blob in batches.expect(files(150))[:20]:
            batches.add(blob, rows_of_a_file(), 10)
        batches.keep()
    assert index.rows("SELECT count(*) FROM indexing.blobs") == [(20,)]
    assert stored.files == []
