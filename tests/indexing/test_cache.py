"""Fetched objects stay for the next commit, and harm nobody when they are damaged, in use or too many."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psycopg2
import pytest
from git_repositories import Repository
from https_git_server import GitServer, serve
from index_database import Index

from indexing import cache as cache_module
from indexing import git
from indexing.access import Access
from indexing.cache import Cache, size_of
from indexing.errors import RepositoryNotFound, RepositoryRefused, RepositoryTooLarge, TransientIndexError
from indexing.limits import Limits

Make = Callable[..., Repository]

TOKEN = "t0ken-that-nobody-may-see"


@pytest.fixture
def git_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[GitServer]:
    with serve(tmp_path, tmp_path) as running:
        monkeypatch.setenv("SSL_CERT_FILE", str(running.certificate))
        yield running


@pytest.fixture(autouse=True)
def cached(index: Index, tmp_path: Path) -> Path:
    """Runs may read this server, and keep what they fetch; the place where they do."""
    index.access = Access(allowed_hosts=("127.0.0.0/8",), cache_directory=str(tmp_path / "cache"))
    return tmp_path / "cache"


def url_of(server: GitServer, repository: Repository) -> str:
    return f"{server.url}/{repository.path.name}/.git"


def names(index: Index) -> list[str]:
    return [
        name
        for (name,) in index.rows("SELECT name FROM indexing.symbols_at_commit WHERE is_current ORDER BY path, ordinal")
    ]


def test_the_next_commit_is_fetched_as_what_is_new(
    index: Index, make_repository: Make, git_server: GitServer, cached: Path
) -> None:
    repository = make_repository({"a.py": "def a(): pass\n", "big.bin": os.urandom(500_000)})
    index.run(url_of(git_server, repository))
    assert git_server.sent > 500_000
    git_server.sent = 0
    repository.commit({"a.py": "def changed(): pass\n"})
    index.run(url_of(git_server, repository))
    assert git_server.sent < 5_000
    assert names(index) == ["changed"]
    assert index.rows("SELECT count(*) FROM indexing.listings") == [(1,)]
    assert len(list(cached.glob("*.git"))) == 1


def test_without_a_cache_nothing_stays(
    index: Index, make_repository: Make, git_server: GitServer, cached: Path
) -> None:
    index.access = replace(index.access, cache_directory=None)
    repository = make_repository({"a.py": "def a(): pass\n"})
    index.run(url_of(git_server, repository))
    repository.commit({"a.py": "def changed(): pass\n"})
    index.run(url_of(git_server, repository))
    assert names(index) == ["changed"]
    assert not cached.exists()


def damage_pack(place: Path) -> None:
    for pack in (place / "objects/pack").glob("*.pack"):
        pack.chmod(0o600)
        pack.write_bytes(pack.read_bytes()[:100] + b"\0" * 200)


def damage_by_loss(place: Path) -> None:
    for pack in (place / "objects/pack").glob("*"):
        pack.unlink()


def damage_lock(place: Path) -> None:
    (place / "shallow.lock").touch()
    (place / "refs/indexq/last.lock").touch()


def damage_head(place: Path) -> None:
    (place / "HEAD").unlink()


@pytest.mark.parametrize("damage", [damage_pack, damage_by_loss, damage_lock, damage_head])
def test_a_damaged_cache_is_discarded_and_fetched_afresh(
    index: Index, make_repository: Make, git_server: GitServer, cached: Path, damage: Callable[[Path], None]
) -> None:
    repository = make_repository({f"{n}.py": f"def f{n}(): pass\n" for n in range(20)})
    index.run(url_of(git_server, repository))
    (place,) = cached.glob("*.git")
    damage(place)
    repository.commit({"0.py": "def changed(): pass\n"})
    index.run(url_of(git_server, repository))
    assert names(index)[0] == "changed"
    assert len(names(index)) == 20
    assert index.skips() == {f"{n}.py": None for n in range(20)}


def test_a_damaged_content_is_found_when_it_is_read_and_fetched_again(
    index: Index, make_repository: Make, git_server: GitServer, cached: Path
) -> None:
    repository = make_repository({"a.py": "def a(): pass\n", "b.py": "def b(): pass\n"})
    index.run(url_of(git_server, repository))
    # Given that the database forgets, and one object of the cache is damaged where the commit is whole,
    index.rows("DELETE FROM indexing.repositories RETURNING 1")
    index.rows("DELETE FROM indexing.blobs RETURNING 1")
    (place,) = cached.glob("*.git")
    (pack,) = (place / "objects/pack").glob("*.pack")
    repository.git("unpack-objects", "-q", stdin=pack.read_bytes())
    oid = repository.git("rev-parse", "HEAD:b.py")
    (place / "objects" / oid[:2]).mkdir(exist_ok=True)
    for loose in (repository.path / ".git/objects").glob("??/*"):
        target = place / "objects" / loose.parent.name / loose.name
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(b"damaged" if loose.parent.name + loose.name == oid else loose.read_bytes())
    damage_by_loss(place)
    # When it is indexed again, then nothing is missing.
    index.run(url_of(git_server, repository))
    assert index.skips() == {"a.py": None, "b.py": None}


def test_a_server_that_is_away_costs_no_cache(
    index: Index, make_repository: Make, git_server: GitServer, cached: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = make_repository({"a.py": "def a(): pass\n"})
    index.run(url_of(git_server, repository))
    before = size_of(cached)
    new = repository.commit({"a.py": "def b(): pass\n"})
    monkeypatch.setenv("SSL_CERT_FILE", "/dev/null")
    with pytest.raises(TransientIndexError):
        index.run(url_of(git_server, repository), new)
    assert size_of(cached) >= before or list(cached.glob("*.git")) == []


def test_those_used_longest_ago_go_first_and_those_in_use_stay(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "evicted")
    places = []
    for number in range(4):
        with cache.use(f"url{number}", lambda: None, 1) as place:
            (place.directory / "objects").mkdir(parents=True)
            (place.directory / "HEAD").write_bytes(b"x" * 1000)
            os.utime(place.directory, (number, number))
            places.append(place.directory)
    with cache.use("url0", lambda: None, 1):
        assert cache.evict(2500) == 2
    assert [each.exists() for each in places] == [True, False, False, True]
    assert cache.evict(0) == 2


def test_a_worn_repository_is_fetched_afresh(
    index: Index, make_repository: Make, git_server: GitServer, cached: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache_module, "_MOST_PACKS", 2)
    repository = make_repository({f"{n}.py": "" for n in range(200)})
    for number in range(5):
        repository.commit({"0.py": f"def f{number}(): pass\n", f"{number}.bin": os.urandom(50_000)})
        index.run(url_of(git_server, repository))
        (place,) = cached.glob("*.git")
        assert len(list((place / "objects/pack").glob("*.pack"))) <= 3
    assert names(index) == ["f4"]


def test_jobs_for_one_repository_at_once_share_its_place(
    index: Index, make_repository: Make, git_server: GitServer
) -> None:
    repository = make_repository({f"{n}.py": f"def f{n}(): pass\n" for n in range(20)})
    url = url_of(git_server, repository)
    repository_id = index.repository_id(url)
    commits = [repository.commit({f"{n}.py": f"def changed{n}(): pass\n"}) for n in range(3)]
    errors: list[Exception] = []

    def work(sha: str) -> None:
        connection = psycopg2.connect(index.url)
        try:
            Index(index.url, connection, access=index.access).run(url, sha, repository_id=repository_id)
        except Exception as error:  # noqa: BLE001 the test fails with it below
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=work, args=(sha,)) for sha in commits]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert index.rows("SELECT count(*) FROM indexing.symbols_at_commit") == [(60,)]


def test_a_cached_repository_that_grows_too_large_is_refused(
    index: Index, make_repository: Make, git_server: GitServer
) -> None:
    repository = make_repository({"a.bin": os.urandom(2_000_000)})
    with pytest.raises(RepositoryTooLarge):
        index.run(url_of(git_server, repository), limits=Limits(max_fetch_bytes=1_000_000))


def test_a_token_reaches_the_server_and_nothing_else(
    index: Index, make_repository: Make, git_server: GitServer, tmp_path: Path, cached: Path
) -> None:
    repository = make_repository({"a.py": "def a(): pass\n"})
    git_server.password = TOKEN
    # Given a git that writes down how it is called,
    calls = tmp_path / "calls"
    real = os.environ["PATH"]
    (tmp_path / "bin").mkdir()
    wrapper = tmp_path / "bin/git"
    wrapper.write_text(f'#!/bin/sh\necho "$@" >> {calls}\nPATH={real} exec git "$@"\n')
    wrapper.chmod(0o755)
    os.environ["PATH"] = f"{wrapper.parent}:{real}"
    try:
        with pytest.raises(RepositoryRefused) as refused:
            index.run(url_of(git_server, repository))
        index.access = replace(index.access, tokens={git_server.host: TOKEN})
        index.run(url_of(git_server, repository))
        assert names(index) == ["a"]
        with pytest.raises(RepositoryNotFound) as not_found:
            index.run(f"{git_server.url}/nothing/.git")
    finally:
        os.environ["PATH"] = real
    assert any(git_server.seen)
    assert TOKEN not in calls.read_text() + str(refused.value) + str(not_found.value) + repr(index.access)
    stored = [path.read_bytes() for path in cached.rglob("*") if path.is_file()]
    assert not any(TOKEN.encode() in content for content in stored)
    dump = index.rows("SELECT string_agg(r::text, '') FROM indexing.repositories AS r")
    assert TOKEN not in str(dump)


def test_an_error_of_gits_that_quotes_a_secret_is_told_without_it(tmp_path: Path) -> None:
    with pytest.raises(git.GitFailed) as failed:
        git.run([TOKEN], environment=git.environment(tmp_path), timeout_seconds=10, secret=TOKEN)
    assert "'***' is not a git command" in failed.value.stderr
    assert TOKEN not in failed.value.stderr


def test_a_wrong_token_is_a_permanent_error_that_does_not_show_it(
    index: Index, make_repository: Make, git_server: GitServer
) -> None:
    repository = make_repository({"a.py": ""})
    git_server.password = "another"
    index.access = replace(index.access, tokens={"127.0.0.1": TOKEN})
    with pytest.raises(RepositoryRefused) as refused:
        index.run(url_of(git_server, repository))
    assert TOKEN not in str(refused.value)


def test_a_token_is_not_sent_where_a_server_sends_us_on_to(
    index: Index, make_repository: Make, git_server: GitServer, tmp_path: Path
) -> None:
    repository = make_repository({"a.py": ""})
    (tmp_path / "other").mkdir()
    with serve(tmp_path, tmp_path / "other") as other:
        git_server.moved_to = other.url
        index.access = replace(index.access, tokens={"127.0.0.1": TOKEN})
        with pytest.raises(RepositoryRefused, match="moved"):
            index.run(url_of(git_server, repository))
        assert other.seen == []


def test_an_askpass_program_of_the_operator_is_asked(
    index: Index, make_repository: Make, git_server: GitServer, tmp_path: Path
) -> None:
    repository = make_repository({"a.py": "def a(): pass\n"})
    git_server.password = TOKEN
    program = tmp_path / "askpass"
    program.write_text(f'#!/bin/sh\ncase "$1" in Username*) echo x-access-token ;; *) echo {TOKEN} ;; esac\n')
    program.chmod(0o755)
    index.access = replace(index.access, askpass=str(program))
    assert index.run(url_of(git_server, repository)).symbols_extracted == 1
