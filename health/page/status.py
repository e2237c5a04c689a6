"""The page itself: what was asked, in words and tables. Rendered here, kept true in the browser by asking again."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping
from functools import cache
from http import HTTPStatus
from pathlib import Path

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from leasequeue import DatabaseUnavailable, QueueError
from leasequeue.admin.health import HealthFacts, HealthQuestion
from leasequeue.admin.overview import DEAD_CAP, RUNNING_LIMIT, Overview, RunningJob, ask_overview
from leasequeue.admin.wording import short_time

from ..checks import Checks, Finding, Verdict
from ..shared import Shared
from .access import COOKIE, Access
from .chart import last_hour
from .html import Html, join, table, tag

#: Seconds for each question behind the page, until it is shown without, and for which the answers are good.
QUESTION_WITHIN = 1.5
ANSWER_WITHIN = 3.0
KEEP = 2.0

#: What a running job does, in words, by message id: (text, share that is done or None).
Progress = Mapping[str, tuple[str, float | None]]
AskProgress = Callable[[HealthQuestion, list[RunningJob], float], Progress]

#: Commands that the page names: it changes nothing itself.
SHOW_CAUSE = "indexq dead list --queue {queue} --cause {cause}"
RETRY_CAUSE = "indexq dead retry --all-matching --queue {queue} --cause {cause} --canary"
CANCEL = "indexq cancel {job}"


class StatusPage:
    """``/`` of the health application.

    Parameters:
      progress: asks what running jobs do; the queue itself knows nothing of that.
    """

    def __init__(self, checks: Checks, access: Access, progress: AskProgress | None = None) -> None:
        self._checks = checks
        self._access = access
        self._progress = progress
        self._question = HealthQuestion(checks.broker)
        self._overview = Shared(self._ask, keep=KEEP, within=ANSWER_WITHIN)

    async def show(self, request: Request) -> Response:
        """The page; a form for the token where one is needed; 403 where none would help."""
        if request.method == "POST":
            return await self._log_in(request)
        refusal = self._access.refusal(request)
        if refusal is not None:
            return _html(_refused(refusal), refusal)
        verdict = await self._checks.health()
        try:
            (overview, progress), _ = await self._overview.get()
        except (TimeoutError, DatabaseUnavailable, QueueError):
            overview, progress = None, {}
        return _html(_page(verdict, overview, progress), HTTPStatus.OK)

    async def _log_in(self, request: Request) -> Response:
        cookie = await self._access.admit(request)
        if cookie is None:
            return _html(_refused(HTTPStatus.UNAUTHORIZED), HTTPStatus.UNAUTHORIZED)
        answer = RedirectResponse(request.url.path, HTTPStatus.SEE_OTHER)
        secure = request.url.scheme == "https"
        answer.set_cookie(COOKIE, cookie, httponly=True, samesite="strict", secure=secure, path=request.url.path)
        return answer

    def _ask(self) -> tuple[Overview, Progress]:
        overview = ask_overview(self._question, QUESTION_WITHIN)
        if self._progress is None or not overview.running:
            return overview, {}
        return overview, self._progress(self._question, overview.running, QUESTION_WITHIN)


# The whole.


@cache
def _asset(name: str) -> Html:
    return Html((Path(__file__).parent / name).read_text("utf-8"))


@cache
def _policy() -> str:
    """What the page may load: itself, and nothing from anywhere."""

    def digest(name: str) -> str:
        return base64.b64encode(hashlib.sha256(_asset(name).encode()).digest()).decode()

    return (
        f"default-src 'none'; style-src 'sha256-{digest('style.css')}'; script-src 'sha256-{digest('live.js')}'; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )


def _html(page: Html, status: HTTPStatus) -> Response:
    headers = {
        "Cache-Control": "no-store",
        "Content-Security-Policy": _policy(),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
    }
    return HTMLResponse(page, status, headers)


def _document(title: str, *body: object, script: object = "") -> Html:
    head = join(
        Html('<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'),
        tag("title", title),
        tag("style", _asset("style.css")),
    )
    return join(Html("<!doctype html>"), tag("html", tag("head", head), tag("body", *body, script), lang="en"))


def _refused(status: HTTPStatus) -> Html:
    if status is HTTPStatus.FORBIDDEN:
        text = join(
            "This page is shown on the machine itself only. Set ",
            tag("code", "STATUS_PAGE_TOKEN"),
            " to see it from elsewhere, and to put a proxy before it.",
        )
        return _document("indexq", tag("main", tag("h1", "Not from here"), tag("p", text)))
    field = tag(
        "label", "Token ", Html('<input type="password" name="token" autocomplete="current-password" required>')
    )
    form = tag("form", field, tag("button", "Show"), method="post")
    return _document("indexq", tag("main", tag("h1", "indexq"), tag("p", "Give the STATUS_PAGE_TOKEN."), form))


def _page(verdict: Verdict, overview: Overview | None, progress: Progress) -> Html:
    facts = verdict.facts
    state = tag(
        "span",
        "Moves" if verdict.is_good else "Needs attention",
        class_=f"state {'good' if verdict.is_good else 'bad'}",
    )
    header = tag(
        "header",
        tag("h1", "indexq"),
        tag("span", state, data_part="state", role="status"),
        tag("span", "", id="live", class_="muted"),
    )
    # All parts always: the browser replaces those that it finds, and would leave what it does not find as it was.
    parts: list[tuple[str, str, object]] = [
        ("findings", "", _findings(verdict)),
        ("queues", "Queues", _NOT_KNOWN if facts is None else _queues(facts)),
        ("running", "Running jobs", _NOT_KNOWN if overview is None else _running(overview.running, progress)),
        ("dead", "Dead letters by cause", _NOT_KNOWN if overview is None else _dead(overview)),
        ("hour", "Last hour", _NOT_KNOWN if overview is None else _hour(overview)),
        ("workers", "Workers", _NOT_KNOWN if facts is None else _workers(facts)),
    ]
    sections = [
        tag("section", tag("h2", title) if title else "", tag("div", content, data_part=name))
        for name, title, content in parts
    ]
    note = join(
        "Figures as JSON: ",
        tag("a", "health", href="health"),
        ", for Prometheus: ",
        tag("a", "metrics", href="metrics"),
    )
    reload = Html(
        '<noscript><p class="muted">Without scripts this page is true for the moment of its loading.</p></noscript>'
    )
    script = tag("script", _asset("live.js"))
    return _document("indexq", header, tag("main", *sections, tag("p", note, class_="muted"), reload), script=script)


# Its parts.


#: In place of a part that the database has no answer for.
_NOT_KNOWN = tag("p", "Not known: the database does not answer.", class_="muted")


def _findings(verdict: Verdict) -> Html:
    def items(findings: list[Finding], kind: str) -> list[Html]:
        return [tag("li", each.text[:1].upper() + each.text[1:], class_=kind) for each in findings]

    found = items(verdict.reasons, "bad") + items(verdict.warnings, "warn")
    return tag("ul", *found, class_="findings") if found else tag("p", "Nothing is wrong.", class_="muted")


def _queues(facts: HealthFacts) -> Html:
    if not facts.queues:
        return tag("p", "No queue yet: nothing was sent and nobody waits for it.", class_="muted")
    rows = [
        (
            each.name,
            *(f"{count:,}" for count in (each.ready, each.scheduled, each.running, each.dead)),
            "-" if each.oldest_ready_seconds is None else short_time(each.oldest_ready_seconds),
        )
        for each in facts.queues
    ]
    return table("Queues", ("Queue", "Ready", "Scheduled", "Running", "Dead", "Oldest ready"), rows, range(1, 6))


def _running(jobs: list[RunningJob], progress: Progress) -> Html:
    if not jobs:
        return tag("p", "Nothing runs.", class_="muted")
    rows = []
    for job in jobs:
        text, share = progress.get(job.message_id, ("", None))
        bar = (
            ""
            if share is None
            else tag("progress", value=f"{share:.3f}", max=1, aria_label=f"Progress of {job.message_id}")
        )
        where = f"{job.host} ({job.pid})" if job.host else "-"
        command = tag("code", CANCEL.format(job=job.message_id))
        rows.append(
            (
                job.actor_name or "?",
                short_time(job.running_seconds),
                join(bar, " ", text),
                str(job.attempt),
                where,
                command,
            )
        )
    heads = ("Actor", "For", "Progress", "Attempt", "Where", "To stop it")
    more = tag("p", f"The {RUNNING_LIMIT} that have run longest.", class_="muted") if len(jobs) == RUNNING_LIMIT else ""
    return join(table("Running jobs", heads, rows, (1, 3)), more)


def _dead(overview: Overview) -> Html:
    if not overview.causes:
        return tag("p", "None.", class_="muted")
    rows = []
    for each in overview.causes:
        names = {"queue": each.queue_name, "cause": each.cause}
        commands = join(tag("code", SHOW_CAUSE.format(**names)), Html("<br>"), tag("code", RETRY_CAUSE.format(**names)))
        what = tag("div", each.error or "-", class_="error")
        ago = short_time(overview.asked_at - each.last_at)
        rows.append((each.reason, f"{each.count:,}", each.queue_name, what, ago, commands))
    heads = ("Reason", "Jobs", "Queue", "Newest error", "Newest, ago", "To see them, to send them again")
    note = tag("p", f"Of each cause, {DEAD_CAP:,} dead letters at the most are counted.", class_="muted")
    return join(table("Dead letters by cause", heads, rows, (1, 4)), note)


def _hour(overview: Overview) -> Html:
    if overview.done is None or overview.dead is None:
        return tag("p", "Too many jobs to be counted in time.", class_="muted")
    return last_hour(overview.done, overview.dead)


def _workers(facts: HealthFacts) -> Html:
    if not facts.workers:
        return tag("p", "No worker lives anywhere.", class_="muted")
    rows = []
    for worker in facts.workers:
        live = worker.threads if worker.live_threads is None else worker.live_threads
        state = "draining" if worker.draining else "working" if worker.claiming else "paused by QUEUE_ENABLED"
        age, silent = short_time(worker.started_seconds), short_time(worker.silent_seconds)
        rows.append(
            (worker.host, str(worker.pid), state, f"{live} of {worker.threads}", str(worker.holds), age, silent)
        )
    heads = ("Host", "Process", "State", "Threads alive", "Jobs", "Up for", "Last heartbeat, ago")
    return table("Workers", heads, rows, (1, 3, 4, 5, 6))
