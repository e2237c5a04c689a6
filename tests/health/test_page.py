"""The status page in a real browser, with 1,000 jobs in all states."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from browser import Browser, find_browser
from throwaway_postgres import ThrowawayPostgres

from leasequeue import LeaseBroker, migrations
from leasequeue.admin import DeadFilter, DeadLetters

from .conftest import ROOT, House, Probe
from .test_states import execute

IMAGES = ROOT / "docs" / "images"

HOSTILE = "<script>document.title='hacked'</script> could not be parsed"

ROWS = (Path(__file__).parent / "thousand_jobs.sql").read_text("utf-8")
CONTRAST = (Path(__file__).parent / "contrast.js").read_text("utf-8")


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    program = find_browser()
    if program is None:
        pytest.skip(
            "NOT TESTED: no Chromium; install the Debian package chromium-headless-shell, or name it in CHROMIUM"
        )
    started = Browser(program, tmp_path / "profile")
    yield started
    started.close()


@pytest.fixture
def page(house: House, database: str) -> Probe:
    """The sidecar of a queue with 1,000 jobs, as seen by anybody on the queue's side."""
    execute(database, ROWS)
    return house.sidecar(database, STATUS_PAGE="1", HEALTH_SCOPE="queue", HEALTH_STALLED_SECONDS="60")


def test_the_page_shows_a_thousand_jobs_live_and_accessibly(browser: Browser, page: Probe, database: str) -> None:
    browser.open(f"{page.url}/")
    text = browser.run("document.body.innerText")
    assert browser.run("document.title") == "indexq"  # and not what an error text says
    for words in (
        "300",
        "Scheduled",
        "GitFailed: git fetch",
        HOSTILE,
        "indexer-2",
        "2 of 3",
        "billing: parse, 300 of 1,200",
    ):
        assert words in text
    (cause, *_) = causes_of(database)
    assert f"indexq dead retry --all-matching --queue index-repo --cause {cause} --canary" in text
    assert browser.run("document.querySelectorAll('svg rect').length") > 50
    _keep_picture(browser, "status-light.png")

    # Live: what changes in the database changes on the page, without a reload and where the focus is not.
    browser.run("window.unchanged = true; document.querySelector('[data-part=dead] .wide').focus()")
    execute(database, "DELETE FROM dramatiq.queue WHERE state = 'consumed'")
    browser.wait("document.querySelector('[data-part=running]').innerText.includes('Nothing runs')")
    assert (
        browser.run("window.unchanged && document.activeElement.getAttribute('aria-label')") == "Dead letters by cause"
    )

    # Accessible: contrast in both schemes, names, a language, and everything to be reached by keyboard.
    assert browser.run(CONTRAST) == []
    assert browser.run("document.documentElement.lang") == "en"
    assert browser.run("[...document.querySelectorAll('th')].every(e => e.scope)")
    assert browser.run("[...document.querySelectorAll('[role=region], svg')].every(e => e.getAttribute('aria-label'))")
    browser.run("document.activeElement.blur()")
    reached = set()
    for _ in range(12):
        browser.press("Tab")
        reached.add(
            browser.run("document.activeElement.getAttribute('aria-label') || document.activeElement.innerText")
        )
    assert {"Queues", "Dead letters by cause", "Workers", "health", "metrics"} <= reached

    # On a phone, in the dark: nothing is wider than the screen, what is wide scrolls by itself.
    browser.open(f"{page.url}/", width=390, height=844, dark=True)
    assert browser.run("document.documentElement.scrollWidth") <= 390
    assert browser.run(CONTRAST) == []
    _keep_picture(browser, "status-phone-dark.png")
    browser.open(f"{page.url}/", dark=True)
    _keep_picture(browser, "status-dark.png")
    assert browser.failures == []  # nothing was refused by the page's own policy, nothing failed to load


def test_its_causes_are_those_of_the_command(house: House, database: str) -> None:
    execute(
        database,
        "INSERT INTO dramatiq.queue (message_id, queue_name, state, message, reason, error, mtime) "
        "SELECT gen_random_uuid(), 'index-repo', 'rejected', '{}', 'permanent', 'no such commit: ' || n, "
        "       now() - n * interval '1 minute' FROM generate_series(3, 5) AS n",
    )
    page = house.sidecar(database, STATUS_PAGE="1")
    (cause,) = causes_of(database)
    text = page.client.get(f"{page.url}/").text
    assert text.count("indexq dead retry ") == 1
    assert f"indexq dead retry --all-matching --queue index-repo --cause {cause} --canary" in text
    assert "no such commit: 3" in text  # the newest
    assert "3 min" in text


@pytest.mark.parametrize("message", ['"text"', '{"actor_name": "index_repo", "args": 7, "kwargs": null}', "null"])
def test_a_running_job_that_nobody_can_read_is_shown_as_one(message: str, house: House, database: str) -> None:
    execute(
        database,
        "INSERT INTO dramatiq.queue (message_id, state, message, worker_id, claim_no) "
        f"VALUES (gen_random_uuid(), 'consumed', '{message}', gen_random_uuid(), 1)",
    )
    page = house.sidecar(database, STATUS_PAGE="1")
    shown = page.client.get(f"{page.url}/")
    assert shown.status_code == 200
    assert "indexq cancel" in shown.text


def test_a_running_index_job_tells_what_it_has_read_and_how_long_its_phase_will_take(
    house: House, database: str
) -> None:
    execute(database, ROWS)
    execute(
        database,
        "UPDATE indexing.index_jobs SET bytes_done = 3100000, rest_seconds = 250 "
        " WHERE repository_id = (SELECT id FROM indexing.repositories WHERE name = 'billing')",
    )
    page = house.sidecar(database, STATUS_PAGE="1")
    text = page.client.get(f"{page.url}/").text
    assert "billing: parse, 300 of 1,200 files, 3.1 MB, about 4 min 10 s left" in text
    assert "search: parse, 600 of 2,400 files<" in text


def causes_of(url: str) -> list[str]:
    """The ids of the causes, the most frequent first."""
    broker = LeaseBroker(url=url)
    try:
        return [each.cause for each in DeadLetters(broker).causes(DeadFilter())]
    finally:
        broker.close()


def test_the_page_tells_that_it_is_not_true_any_more(browser: Browser, page: Probe, house: House) -> None:
    browser.open(f"{page.url}/")
    house.stack.close()
    browser.wait("document.getElementById('live').textContent === 'not updated: no answer'")


def test_an_outage_takes_the_figures_of_before_from_the_page_and_its_end_brings_them_back(
    browser: Browser, house: House, throwaway_server: Callable[..., ThrowawayPostgres]
) -> None:
    server = throwaway_server()
    migrations.migrate(server.url, schema="dramatiq")
    execute(
        server.url, "INSERT INTO dramatiq.queue (message_id, state, message) VALUES (gen_random_uuid(), 'queued', '{}')"
    )
    page = house.sidecar(server.url, STATUS_PAGE="1", HEALTH_SCOPE="queue")
    queues = "document.querySelector('[data-part=queues]').innerText"
    browser.open(f"{page.url}/")
    browser.wait(f"{queues}.includes('default')")
    server.stop(immediate=True)
    browser.wait(f"{queues} === 'Not known: the database does not answer.'")
    browser.open(f"{page.url}/")
    server.start()
    browser.wait(f"{queues}.includes('default')")


def test_with_a_token_only_who_knows_it_sees_the_page(browser: Browser, house: House, database: str) -> None:
    page = house.sidecar(database, STATUS_PAGE="1", STATUS_PAGE_TOKEN="open-sesame-open-sesame")
    assert page.client.get(f"{page.url}/").status_code == 401
    assert page.client.get(f"{page.url}/", headers={"Authorization": "Bearer open-sesame"}).status_code == 401
    bearer = {"Authorization": "Bearer open-sesame-open-sesame"}
    assert page.client.get(f"{page.url}/", headers=bearer).status_code == 200
    assert page.client.get(f"{page.url}/health").status_code != 401

    browser.open(f"{page.url}/")
    submit(browser, "wrong")
    assert "STATUS_PAGE_TOKEN" in browser.run("document.body.innerText")
    submit(browser, "open-sesame-open-sesame")
    assert "Needs attention" in browser.run("document.body.innerText")
    assert browser.run("document.cookie") == ""  # not for scripts
    assert "sesame" not in browser.run("location.href + document.documentElement.outerHTML")


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "[2001:db8::1]", "evil]"])
def test_without_a_token_a_name_of_somebody_else_is_refused(host: str, house: House, database: str) -> None:
    page = house.sidecar(database, STATUS_PAGE="1")
    assert page.client.get(f"{page.url}/").status_code == 200
    refused = page.client.get(f"{page.url}/", headers={"Host": f"{host}:8000"})
    assert (refused.status_code, "STATUS_PAGE_TOKEN" in refused.text) == (403, True)


def test_it_is_off_by_default(house: House, database: str) -> None:
    page = house.sidecar(database)
    assert page.client.get(f"{page.url}/").status_code == 404


def test_without_a_database_it_says_what_is_wrong(house: House) -> None:
    page = house.sidecar("postgresql://someone:s3cret-word@127.0.0.1:1/product", STATUS_PAGE="1")
    shown: httpx.Response = page.client.get(f"{page.url}/")
    assert shown.status_code == 200
    assert "Connection refused" in shown.text
    assert "s3cret-word" not in shown.text


def submit(browser: Browser, token: str) -> None:
    """Fill the form in, send it, and wait for the answer."""
    browser.run(f"window.before = true; document.querySelector('input').value = '{token}'")
    browser.run("document.querySelector('button').click()")
    browser.wait("!window.before && document.readyState === 'complete'")


def _keep_picture(browser: Browser, name: str) -> None:
    """For the documentation, when it is asked for: the page as it is now."""
    if os.environ.get("INDEXQ_WRITE_DOCS"):
        browser.picture(IMAGES / name)
