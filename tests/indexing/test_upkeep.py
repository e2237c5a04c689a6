"""What nobody needs any more goes, in batches, and nothing else does."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import closing
from typing import Any

import psycopg2
import pytest
from git_repositories import Repository
from index_database import Index
from waiting import wait_until

from indexing import publish, store, upkeep
from indexing.errors import RepositoryNotFound
from indexing.listing import Entry
from indexing.store import Blob

Make = Callable[..., Repository]


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep, "BATCH", 3)


def counts(index: Index) -> tuple[int, ...]:
    """Repositories, commits, files, contents, symbols."""
    tables = ("repositories", "commits", "listing_files", "blobs", "symbols")
    return tuple(index.rows(f"SELECT count(*) FROM indexing.{table}")[0][0] for table in tables)


def test_removing_a_repository_frees_what_only_it_had(index: Index, make_repository: Make) -> None:
    shared = {f"shared{n}.py": f"def s{n}(): pass\n" for n in range(5)}
    kept = make_repository(shared, "kept")
    removed = make_repository(
        {**shared, **{f"own{n}.py": f"import o\ndef o{n}(): pass\n" for n in range(10)}}, "removed"
    )
    index.run(kept.url)
    before = counts(index)
    index.run(removed.url)
    removed.commit({"more.py": "def more(): pass\n"})
    index.run(removed.url)
    batches: list[int] = []
    assert upkeep.remove_repository(index.connection, index.repository_id(removed.url), lambda: batches.append(1))
    assert counts(index) == before
    assert index.rows("SELECT count(*) FROM indexing.imports") == [(0,)]
    assert len(batches) > 3
    assert index.run(kept.url).symbols_extracted == 5
    assert not upkeep.remove_repository(index.connection, "00000000-0000-0000-0000-000000000000")


def test_old_commits_go_with_what_only_they_had(index: Index, make_repository: Make) -> None:
    repository = make_repository({f"{n}.py": f"def f{n}(): pass\n" for n in range(7)})
    commits = [repository.head]
    index.run(repository.url)
    for n in range(5):
        commits.append(repository.commit({f"{n}.py": f"def changed{n}(): pass\n"}))
        index.run(repository.url)
    repository_id = index.repository_id(repository.url)
    assert upkeep.remove_old_commits(index.connection, repository_id, keep=1) == 4
    assert [row[0] for row in index.rows("SELECT sha FROM indexing.commits ORDER BY id")] == commits[-2:]
    # 7 of the newest, and the one that the commit before has instead.
    assert counts(index)[2:] == (8, 8, 8)
    names = "SELECT count(*), count(*) FILTER (WHERE name LIKE 'changed%%') FROM indexing.symbols_at_commit"
    assert index.rows(names + " WHERE commit_sha = %s", commits[-2]) == [(7, 4)]
    assert index.rows(names + " WHERE is_current") == [(7, 5)]
    # What comes next is told from what is left.
    repository.commit({"6.py": "def last(): pass\n"})
    assert index.run(repository.url).symbols_extracted == 7
    assert index.rows("SELECT count(*) FROM indexing.listings") == [(1,)]


def test_the_current_commit_stays_however_old_it_is(index: Index, make_repository: Make) -> None:
    repository = make_repository({"a.py": "def old(): pass\n"})
    old = repository.head
    repository.commit({"a.py": "def new(): pass\n"})
    index.run(repository.url)
    index.run(repository.url, old)
    assert upkeep.remove_old_commits(index.connection, index.repository_id(repository.url), keep=0) == 1
    assert index.rows("SELECT name FROM indexing.symbols_at_commit") == [("old",)]
    assert index.rows("SELECT name FROM indexing.symbols") == [("old",)]
    # Its listing is not one to go on from, or is: either way the next commit is right.
    index.run(repository.url)
    assert index.rows("SELECT name FROM indexing.symbols_at_commit WHERE is_current") == [("new",)]


def test_the_upkeep_leaves_the_number_of_commits_that_it_is_told(index: Index, make_repository: Make) -> None:
    repository = make_repository({"a.py": "def f(): pass\n"})
    for n in range(9):
        repository.commit({"a.py": f"def f{n}(): pass\n"})
        index.run(repository.url)
        upkeep.tidy(index.connection, [index.repository_id(repository.url)], keep_commits=2)
        assert index.rows("SELECT count(*) <= 5 FROM indexing.commits") == [(True,)]
    assert index.rows("SELECT count(*) <= 5 FROM indexing.blobs") == [(True,)]


def test_what_a_stopped_job_has_parsed_is_kept_for_its_next_run_and_not_for_ever(
    index: Index, make_repository: Make
) -> None:
    repository = make_repository({f"{n}.py": f"def f{n}(): pass\n" for n in range(4)})

    class Stop(Exception):
        pass

    def stop(_cursor: Any) -> None:
        raise Stop

    with pytest.raises(Stop):
        index.run(repository.url, before_publish=stop)
    assert upkeep.collect(index.connection) == 0
    # Its listing is gone, its contents are not.
    assert counts(index)[1:] == (0, 0, 4, 4)
    index.rows("UPDATE indexing.blobs SET created_at = now() - interval '3 days' RETURNING 1")
    assert upkeep.collect(index.connection) == 4
    assert counts(index)[1:] == (0, 0, 0, 0)


def test_paths_go_with_their_repository_whoever_removes_it(index: Index, make_repository: Make) -> None:
    index.run(make_repository({"kept.py": ""}, "kept").url)
    removed = make_repository({"removed.py": ""}, "removed")
    index.run(removed.url)
    with index.connection, index.connection.cursor() as cursor:
        cursor.execute("DELETE FROM indexing.repositories WHERE url = %s", (removed.url,))
    assert index.rows("SELECT path FROM indexing.listing_files") == [("kept.py",)]


def test_paths_that_are_being_written_go_with_their_listing(index: Index, make_repository: Make) -> None:
    repository_id = index.repository_id(make_repository({}).url)
    with index.connection, index.connection.cursor() as cursor:
        listing_id = publish.begin_listing(cursor, repository_id)

    def remove() -> None:
        with closing(psycopg2.connect(index.url)) as other, other, other.cursor() as cursor:
            cursor.execute("DELETE FROM indexing.listings")

    removing = threading.Thread(target=remove)
    with index.connection, index.connection.cursor() as cursor:
        publish.store_files(cursor, listing_id, [Entry("link", "a" * 40, 1, None, "symlink")], {})
        removing.start()
        blocked = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        wait_until(lambda: len(index.rows(blocked)) == 1)
    removing.join()
    assert index.rows("SELECT * FROM indexing.listings") == []
    assert index.rows("SELECT path FROM indexing.listing_files") == []


def test_what_a_dead_run_left_is_removed_when_it_is_old_and_only_then(index: Index, make_repository: Make) -> None:
    repository = make_repository({"a.py": "def f(): pass\n"})
    repository_id = index.repository_id(repository.url)
    with index.connection, index.connection.cursor() as cursor:
        dead = publish.begin_listing(cursor, repository_id)
        alive = publish.begin_listing(cursor, repository_id)
        cursor.execute("UPDATE indexing.listings SET touched_at = now() - interval '1 day' WHERE id = %s", (dead,))
    upkeep.tidy(index.connection, [], keep_commits=100)
    assert index.rows("SELECT id FROM indexing.listings WHERE NOT has_commits") == [(alive,)]


def test_unused_contents_are_found_behind_jobs_a_page_at_a_time(
    index: Index, make_repository: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    orphans = {f"{n}.py": f"def f{n}(): pass\n" for n in range(7)}
    index.run(make_repository(orphans, "one").url)
    index.rows("DELETE FROM indexing.listing_files RETURNING 1")
    index.rows("UPDATE indexing.blobs SET created_at = now() - interval '3 days' RETURNING 1")

    def after_a_job(number: int) -> int:
        index.run(make_repository({"new.py": f"def new{number}(): pass\n"}, f"new{number}").url)
        upkeep.tidy(index.connection, [], keep_commits=100)
        return counts(index)[3] - number

    # Somebody looked just now: the next ones have to wait.
    index.rows("UPDATE indexing.collecting SET at = now() RETURNING 1")
    assert after_a_job(1) == 7
    monkeypatch.setattr(upkeep, "PAUSE_SECONDS", -1.0)
    # Pages of three, with those in them that are used; from the beginning again behind the last.
    assert [after_a_job(number) for number in range(2, 5)] == [4, 1, 0]
    index.rows("UPDATE indexing.blobs SET created_at = now() - interval '3 days' RETURNING 1")
    index.rows("DELETE FROM indexing.listing_files WHERE blob_id = (SELECT min(id) FROM indexing.blobs) RETURNING 1")
    assert [after_a_job(number) for number in range(5, 8)][-1] == -1


def test_nobody_waits_for_one_that_looks_for_unused_contents(
    index: Index, make_repository: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "PAUSE_SECONDS", -1.0)
    with index.connection, index.connection.cursor() as cursor:
        cursor.execute("SET lock_timeout = '5s'")
    with closing(psycopg2.connect(index.url)) as other, other.cursor() as cursor:
        cursor.execute("SELECT 1 FROM indexing.collecting FOR UPDATE")
        assert index.run(make_repository({"a.py": "def f(): pass\n"}).url).symbols_extracted == 1
        upkeep.tidy(index.connection, [], keep_commits=100)


def test_a_content_that_a_job_just_refers_to_is_left_to_it(index: Index, make_repository: Make) -> None:
    repository = make_repository({"a.py": "def f(): pass\n"})
    index.run(repository.url)
    repository_id = index.repository_id(repository.url)
    upkeep_connection = psycopg2.connect(index.url)
    removed = threading.Thread(target=upkeep.remove_repository, args=(upkeep_connection, repository_id))
    other = index.repository_id("/somewhere/else")
    with index.connection, index.connection.cursor() as cursor:
        # Given a job of another repository that has written its files and not committed,
        listing = publish.begin_listing(cursor, other)
        oid = repository.git("rev-parse", "HEAD:a.py")
        (blob_id,) = store.known_blobs(cursor, [Blob(oid, "python")]).values()
        cursor.execute(
            "INSERT INTO indexing.listing_files (listing_id, path, oid, language, blob_id)"
            " VALUES (%s, 'a', %s, %s, %s)",
            (listing, bytes.fromhex(oid), "python", blob_id),
        )
        # When the only other user of the content is removed,
        removed.start()
        removed.join(20)
        assert not removed.is_alive()
    upkeep_connection.close()
    # Then neither waited, and the content is there.
    assert index.rows("SELECT count(*) FROM indexing.repositories") == [(1,)]
    assert index.rows("SELECT name FROM indexing.symbols") == [("f",)]


def test_a_job_whose_known_contents_are_removed_parses_them_again(
    index: Index, make_repository: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    files: dict[str, bytes | str] = {f"{n}.py": f"def f{n}(): pass\n" for n in range(4)}
    one = make_repository(files, "one")
    index.run(one.url)
    first_id = index.repository_id(one.url)
    store_files = publish.store_files
    removed: list[bool] = []

    def remove_and_store(*arguments: Any) -> None:
        if not removed:
            connection = psycopg2.connect(index.url)
            removed.append(upkeep.remove_repository(connection, first_id))
            connection.close()
        store_files(*arguments)

    monkeypatch.setattr(publish, "store_files", remove_and_store)
    assert index.run(make_repository(files, "two").url).symbols_extracted == 4
    assert removed == [True]


def test_a_job_whose_repository_is_removed_ends_and_leaves_nothing(index: Index, make_repository: Make) -> None:
    repository = make_repository({f"{n}.py": f"def f{n}(): pass\n" for n in range(4)})
    repository_id = index.repository_id(repository.url)

    def remove(progress: Any) -> None:
        if progress.phase == "publish":
            connection = psycopg2.connect(index.url)
            upkeep.remove_repository(connection, repository_id)
            connection.close()

    with pytest.raises(RepositoryNotFound):
        index.run(repository.url, repository_id=repository_id, on_progress=remove)
    assert counts(index)[:3] == (0, 0, 0)


def test_a_repository_that_a_job_publishes_in_is_waited_for(index: Index, make_repository: Make) -> None:
    repository = make_repository({"a.py": "def f(): pass\n"})
    repository_id = index.repository_id(repository.url)
    connection = psycopg2.connect(index.url)
    removed = threading.Thread(target=upkeep.remove_repository, args=(connection, repository_id))

    def start_removal(_cursor: Any) -> None:
        removed.start()
        wait_until(lambda: bool(index.rows("SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'")))

    index.run(repository.url, before_publish=start_removal)
    removed.join()
    connection.close()
    assert counts(index) == (0, 0, 0, 0, 0)
