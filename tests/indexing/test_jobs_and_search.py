from __future__ import annotations

import shutil
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from git_repositories import Repository
from index_database import Index

import indexing
from indexing import jobs
from indexing.errors import RepositoryRefused
from indexing.names import take_names
from indexing.report import IndexReport, Progress
from indexing.search import find_symbols
from indexing.upkeep import no_pause
from leasequeue.migrations import migrate

MIGRATIONS = Path(indexing.__file__).parent / "migrations"

Make = Callable[..., Repository]

REPORT = IndexReport("a" * 40, 3, 1, 7, {"python": 3}, {"binary": 1}, {"parse": 0.5})


@pytest.fixture
def cursor(index: Index) -> Any:
    return index.connection.cursor()


def test_the_same_url_is_the_same_repository_in_any_spelling(cursor: Any) -> None:
    first = jobs.add_repository(cursor, "/srv/app.git")
    assert jobs.add_repository(cursor, "file:///srv/app.git/", name="other") == first
    assert jobs.get_repository(cursor, first) == jobs.RepositoryRow(first, "app", "/srv/app.git")
    assert jobs.add_repository(cursor, "/srv/other") != first
    assert jobs.get_repository(cursor, str(uuid.uuid4())) is None


def test_a_url_with_a_secret_never_reaches_the_table(cursor: Any) -> None:
    with pytest.raises(RepositoryRefused):
        jobs.add_repository(cursor, "https://user:s3cret@example.com/app")
    cursor.execute("SELECT count(*) FROM indexing.repositories")
    assert cursor.fetchone() == (0,)


def test_a_job_goes_from_pending_to_completed(cursor: Any) -> None:
    repository_id = jobs.add_repository(cursor, "/srv/app")
    wanted, message = str(uuid.uuid4()), str(uuid.uuid4())
    job_id = jobs.add_job(cursor, repository_id, "main", job_id=wanted, message_id=message)
    assert job_id == wanted
    job = jobs.get_job(cursor, job_id)
    assert job is not None
    assert (job.status, job.commit_sha, job.message_id, job.repository_url) == ("pending", "main", message, "/srv/app")

    assert jobs.mark_processing(cursor, job_id)
    assert jobs.report_progress(cursor, job_id, Progress("parse", 5, 10, 1000, 30))
    job = jobs.get_job(cursor, job_id)
    assert job is not None
    assert (job.status, job.phase, job.files_done, job.files_total, job.symbols) == ("processing", "parse", 5, 10, 30)
    assert job.started_at is not None

    assert jobs.mark_completed(cursor, job_id, REPORT)
    job = jobs.get_job(cursor, job_id)
    assert job is not None
    assert (job.status, job.resolved_sha, job.files_done, job.files_total) == ("completed", "a" * 40, 4, 4)
    assert job.symbols == 7
    assert job.stats == REPORT.as_json()
    assert job.finished_at is not None
    assert job.error is None


def test_a_failed_try_is_pending_again_and_the_last_one_is_failed(cursor: Any) -> None:
    job_id = jobs.add_job(cursor, jobs.add_repository(cursor, "/srv/app"))
    jobs.mark_processing(cursor, job_id)
    assert jobs.mark_failed(cursor, job_id, "no network", 1, final=False)
    job = jobs.get_job(cursor, job_id)
    assert job is not None
    assert (job.status, job.error, job.retry_count, job.finished_at) == ("pending", "no network", 1, None)
    jobs.mark_processing(cursor, job_id, retry_count=1)
    assert jobs.mark_failed(cursor, job_id, "no network", 3, final=True)
    job = jobs.get_job(cursor, job_id)
    assert job is not None
    assert (job.status, job.retry_count) == ("failed", 3)
    assert job.finished_at is not None


def test_late_writes_change_nothing_once_a_job_has_ended(cursor: Any) -> None:
    job_id = jobs.add_job(cursor, jobs.add_repository(cursor, "/srv/app"))
    jobs.mark_processing(cursor, job_id)
    jobs.mark_completed(cursor, job_id, REPORT)
    before = jobs.get_job(cursor, job_id)
    assert not jobs.report_progress(cursor, job_id, Progress("parse", 1, 2))
    assert not jobs.mark_failed(cursor, job_id, "late", 1, final=True)
    assert not jobs.mark_completed(cursor, job_id, REPORT)
    assert jobs.get_job(cursor, job_id) == before


@pytest.mark.parametrize("error", ["nul \x00 byte", "lone \ud800 surrogate", "x" * 1_000_000, ""])
def test_any_error_text_can_be_kept(cursor: Any, error: str) -> None:
    job_id = jobs.add_job(cursor, jobs.add_repository(cursor, "/srv/app"))
    assert jobs.mark_failed(cursor, job_id, error, 1, final=True)
    job = jobs.get_job(cursor, job_id)
    assert job is not None
    assert job.error
    assert len(job.error) <= 2000


def test_an_error_with_a_secret_is_kept_without_it(cursor: Any) -> None:
    job_id = jobs.add_job(cursor, jobs.add_repository(cursor, "/srv/app"))
    jobs.mark_failed(cursor, job_id, "cannot read https://user:s3cret@example.com/x", 1, final=True)
    job = jobs.get_job(cursor, job_id)
    assert job is not None
    assert job.error == "cannot read https://***@example.com/x"


def test_the_latest_jobs_come_first_and_no_job_is_none(index: Index) -> None:
    ids = []
    for _ in range(3):
        with index.connection, index.connection.cursor() as cursor:
            ids.append(jobs.add_job(cursor, jobs.add_repository(cursor, "/srv/app")))
    with index.connection, index.connection.cursor() as cursor:
        assert [job.id for job in jobs.latest_jobs(cursor, 2)] == [ids[2], ids[1]]
        assert jobs.get_job(cursor, str(uuid.uuid4())) is None
        assert not jobs.mark_processing(cursor, str(uuid.uuid4()))


def test_an_unknown_status_is_refused_by_the_table(cursor: Any) -> None:
    job_id = jobs.add_job(cursor, jobs.add_repository(cursor, "/srv/app"))
    with pytest.raises(psycopg2.errors.CheckViolation, match="index_jobs_status_is_known"):
        cursor.execute("UPDATE indexing.index_jobs SET status = 'odd' WHERE id = %s", (job_id,))


@pytest.fixture(params=["names wait", "names are taken over"])
def indexed(index: Index, make_repository: Make, request: pytest.FixtureRequest) -> Any:
    index.run(
        make_repository(
            {
                "src/a.py": "class Worker:\n    def work_on(self): pass\n",
                "src/b.go": "package b\n\nfunc Worker() {}\n",
                "srcs/c.py": "def workXon(): pass\n",
            },
            "one",
        ).url
    )
    index.run(make_repository({"a.rb": "class Worker\nend\n"}, "two").url)
    if request.param == "names are taken over":
        take_names(index.connection, no_pause)
    return index.connection.cursor()


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({"name": "Worker"}, ["one:src/a.py:1", "one:src/b.go:3", "two:a.rb:1"]),
        ({"name": "worker"}, []),
        ({"name": "work", "match": "prefix"}, ["one:srcs/c.py:1", "one:src/a.py:2"]),
        ({"name": "work_", "match": "prefix"}, ["one:src/a.py:2"]),
        ({"name": "%", "match": "prefix"}, []),
        ({"name": "Worker", "kind": "function"}, ["one:src/b.go:3"]),
        ({"name": "Worker", "language": "ruby"}, ["two:a.rb:1"]),
        ({"name": "Worker", "path": "src"}, ["one:src/a.py:1", "one:src/b.go:3"]),
        ({"name": "W", "match": "prefix", "path": "src/b.go"}, ["one:src/b.go:3"]),
        ({"name": "w", "match": "prefix", "path": "src/"}, ["one:src/a.py:2"]),
        ({"name": "Worker", "repository": "two"}, ["two:a.rb:1"]),
        ({"name": "Worker", "language": "ruby", "match": "fuzzy"}, ["two:a.rb:1"]),
        ({"name": "Nonsense", "match": "fuzzy"}, []),
    ],
)
def test_symbols_are_found_by_name_and_filter(indexed: Any, options: dict[str, Any], found: list[str]) -> None:
    hits = find_symbols(indexed, **options)
    assert sorted(f"{hit.repository}:{hit.file}:{hit.first_line}" for hit in hits) == sorted(found)


def test_similar_names_come_in_the_order_of_their_likeness(indexed: Any) -> None:
    names = [hit.name for hit in find_symbols(indexed, "work_onn", match="fuzzy")]
    assert names[0] == "work_on"
    assert set(names) == {"work_on", "workXon", "Worker"}


def test_without_trigrams_a_fuzzy_name_is_one_in_any_case(
    empty_database: str, make_repository: Make, tmp_path: Path
) -> None:
    # Given a server whose extension is not ours to install,
    migrations = tmp_path / "migrations"
    shutil.copytree(MIGRATIONS, migrations)
    details = migrations / "0003_details.sql"
    details.write_text(details.read_text().replace("CREATE EXTENSION pg_trgm", "CREATE EXTENSION no_such_extension"))
    migrate(empty_database, schema="indexing", directory=migrations)
    connection = psycopg2.connect(empty_database)
    index = Index(empty_database, connection)
    index.run(make_repository({"a.py": "class Worker: pass\ndef worked(): pass\n"}).url)
    with connection.cursor() as cursor:
        assert [hit.name for hit in find_symbols(cursor, "wORKER", match="fuzzy")] == ["Worker"]
    take_names(connection, no_pause)
    with connection.cursor() as cursor:
        assert [hit.name for hit in find_symbols(cursor, "wORKER", match="fuzzy")] == ["Worker"]
    connection.close()


def test_a_hit_says_all_there_is_to_say(indexed: Any) -> None:
    (hit,) = find_symbols(indexed, "work_on")
    assert (hit.kind, hit.last_line, hit.signature, hit.parent) == ("method", 2, "def work_on(self)", "Worker")
    assert (hit.language, len(hit.commit)) == ("python", 40)


def test_only_the_current_commit_is_searched(index: Index, make_repository: Make) -> None:
    repository = make_repository({"a.py": "def old(): pass\n"})
    index.run(repository.url)
    repository.commit({"a.py": "def new(): pass\n"})
    index.run(repository.url)
    with index.connection.cursor() as cursor:
        assert find_symbols(cursor, "old") == []
        assert len(find_symbols(cursor, "new")) == 1
