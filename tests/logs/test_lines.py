"""A line's way from a logger to its form: taken apart, bound, masked."""

from __future__ import annotations

import ast
import io
import json
import logging
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import logs
from leasequeue import Lease
from leasequeue.lease import enter, leave

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("actors", "health", "indexing", "leasequeue", "logs", "broker.py", "health_app.py")

#: An event in a template, and in the first column of the table in docs/logs.md.
EVENT = re.compile(r"([a-z]+(?:_[a-z]+)+)(?=[ :]|$)")
DOCUMENTED = re.compile(r"^\| `([a-z_]+)`", re.MULTILINE)

#: Two lines that an operator knows by heart.
SENTENCES = {"Job queue started", "Job queue stopped"}

PASSWORD = "p%40ss-w0rd"
URL = f"postgresql://someone:{PASSWORD}@db.example:5432/product"


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """What was written as JSON so far, with the secrets of ``URL``."""
    stream = io.StringIO()
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    root.handlers[:] = [logging.StreamHandler(stream)]
    secrets = [
        secret for setting in (URL, "git.example=pl4in-w0rds", "st4tus-page") for secret in logs.secrets_of(setting)
    ]
    logs.configure("json", level="DEBUG", secrets=secrets)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    root.handlers[:] = before
    root.setLevel(level)
    logging.captureWarnings(False)
    logs.unbind()


Written = Callable[[], list[dict[str, Any]]]


def test_an_event_is_taken_apart_into_its_values(written: Written) -> None:
    logging.getLogger("leasequeue.keep").warning(
        "job_rescued job_id=%s crashes=%d in_seconds=%g: %s is gone", "j1", 2, 0.5, "its worker"
    )
    (line,) = written()
    assert line["event"] == "job_rescued"
    assert (line["job_id"], line["crashes"], line["in_seconds"]) == ("j1", 2, 0.5)
    assert line["text"] == "its worker is gone"
    assert (line["level"], line["logger"]) == ("warning", "leasequeue.keep")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", line["time"])
    assert list(line)[:4] == ["time", "level", "event", "logger"]


def test_a_line_of_others_keeps_its_text(written: Written) -> None:
    logging.getLogger("dramatiq.worker").info("Failed to %s message %s.", "process", "work(1)")
    logging.getLogger("indexq").info("no_arguments at all")
    logging.getLogger("other").info("not_ours: 100 %s", "done")
    logging.getLogger("indexq").info("ours_without: 100% done")
    lines = [line["event"] for line in written()]
    assert lines == ["Failed to process message work(1).", "no_arguments at all", "not_ours: 100 done", "ours_without"]


def test_what_is_bound_is_on_every_line_of_the_run_and_on_none_behind_it(written: Written) -> None:
    log = logging.getLogger("indexq.somebody")
    enter(Lease("job-1", "index-repo", "worker-1", 1, errors=1))
    logs.bind({"repository_id": "r1"})
    log.info("during")
    log.info("lease_lost job_id=%s", "another")
    leave()
    logs.unbind()
    log.info("after")
    during, about_another, after = written()
    bound = {"job_id": "job-1", "queue": "index-repo", "attempt": 2, "worker": "worker-1", "repository_id": "r1"}
    assert bound.items() <= during.items()
    assert about_another["job_id"] == "another"
    assert not bound.keys() & after.keys()


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        (f"no session with {URL}", PASSWORD),
        ("the password is p@ss-w0rd", "p@ss-w0rd"),  # as it is meant
        ("git said: pl4in-w0rds is no longer valid", "pl4in-w0rds"),
        ("a visitor gave st4tus-page", "st4tus-page"),
        ("fetching https://x-access-token:ghs_abcdefghij1234567890@github.example/a/b.git", "abcdefghij1234567890"),
        ("fetching https://tok3n-s3cret@git.example/a/b", "tok3n-s3cret"),
        ("git fetch ssh://u:s3cr3t@h/x", "s3cr3t"),
        ("GET /a?access_token=s3cr3t&x=1", "s3cr3t"),
        ("Authorization: Basic czNjcjN0", "czNjcjN0"),
        ("host=h password=s3cr3t dbname=d", "s3cr3t"),
        ("token glpat-abcdefghij0123456789 was used", "abcdefghij0123456789"),
    ],
)
def test_secrets_are_in_no_line(text: str, secret: str, written: Written) -> None:
    log = logging.getLogger("indexq.anybody")
    log.info(text)
    log.info("fetch_failed url=%s: %s", text, text)
    log.info("with extra", extra={"where": {"url": [text]}})
    try:
        raise RuntimeError(text)
    except RuntimeError:
        log.exception("it failed")
    lines = written()
    assert len(lines) == 4
    assert secret not in json.dumps(lines)
    assert "RuntimeError" in lines[3]["exception"]


def test_a_line_is_one_line_and_of_bounded_length(written: Written) -> None:
    logging.getLogger("anybody").info("first\nsecond %s", "x" * 1_000_000)
    (line,) = written()
    assert len(line["event"]) < 5_000


def test_for_a_terminal_it_is_text_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    stream = io.StringIO()
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    root.handlers[:] = [logging.StreamHandler(stream)]
    try:
        logs.configure("text", level="INFO")
        logging.getLogger("leasequeue.keep").warning("job_rescued job_id=%s", "j1")
    finally:
        root.handlers[:] = before
        root.setLevel(level)
        logging.captureWarnings(False)
    assert "job_rescued" in stream.getvalue()
    assert "job_id=j1" in stream.getvalue()


def templates() -> Iterator[tuple[Path, str]]:
    """The first argument of every log call in the product."""
    for room in ROOMS:
        path = ROOT / room
        for file in [path] if path.is_file() else path.rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text("utf-8"))):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
                    named = ast.unparse(node.func.value).rpartition(".")[2] in ("log", "_log", "logger")
                    first = node.args[0]
                    if named and isinstance(first, ast.Constant) and isinstance(first.value, str):
                        yield file, first.value


def test_every_event_has_a_line_in_the_table_and_every_line_an_event() -> None:
    said = {text for _, text in templates()} - SENTENCES
    events = {match[1] if (match := EVENT.match(text)) else text for text in said}
    assert len(events) > 20
    assert events == set(DOCUMENTED.findall((ROOT / "docs" / "logs.md").read_text("utf-8")))
