"""``indexq doctor``: what is wrong with the database, the settings or the workers, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict

import click

from indexing import git
from indexing.errors import GitUnavailable
from leasequeue.admin.doctor import Doctor, Finding
from settings import Settings

from .connected import connected
from .failures import FAILED
from .output import json_option, print_json, print_table

EPILOG = """\b
Examples:
  indexq doctor
  indexq doctor --strict --json

\b
Exit codes: 0 nothing fails; 1 something does, or with --strict there is a warning; 2 settings are missing or
contradict each other, a line for each; 3 the database cannot be reached.
"""

#: How a level is shown.
MARKS = {"ok": "ok", "warning": "WARN", "failure": "FAIL"}


@click.command(epilog=EPILOG)
@click.option("--strict", is_flag=True, help="Warnings count as failures. For CI.")
@json_option
@click.pass_context
def doctor(ctx: click.Context, strict: bool, as_json: bool) -> None:
    """Find out what is wrong, or will be. Changes nothing."""
    with connected() as broker:
        from broker import settings

        findings = [*_settings(settings), *_git(), *Doctor(broker).examine()]
    is_failed = any(each.level == "failure" or (strict and each.level == "warning") for each in findings)
    if as_json:
        print_json({"healthy": not is_failed, "findings": [asdict(each) for each in findings]})
    else:
        print_table(["State", "What", "Found"], [_line(each) for each in findings], whole=["State", "What"])
    ctx.exit(FAILED if is_failed else 0)


def _line(finding: Finding) -> list[str]:
    told = finding.told if finding.advice is None else f"{finding.told}. {finding.advice}"
    return [MARKS[finding.level], finding.name, told]


def _settings(settings: Settings) -> Iterator[Finding]:
    """What is allowed and yet hardly meant; what cannot be meant is refused wherever settings are read."""
    problems = []
    if settings.git_timeout >= settings.job_time_limit:
        told = (
            f"GIT_TIMEOUT ({settings.git_timeout:g} s) is not less than JOB_TIME_LIMIT ({settings.job_time_limit:g} s)"
        )
        problems.append(
            Finding("settings", "warning", told, "One slow fetch uses up the whole run: lower GIT_TIMEOUT.")
        )
    if settings.archive_completed_after < 60:
        told = f"ARCHIVE_COMPLETED_AFTER is {settings.archive_completed_after:g} s"
        advice = "Who waits for a job may not see its end, and throughput cannot be told: use 60 s or more."
        problems.append(Finding("settings", "warning", told, advice))
    yield from problems or [Finding("settings", "ok", "nothing contradicts anything")]


def _git() -> Iterator[Finding]:
    try:
        git.check_version()
    except GitUnavailable as error:
        yield Finding("git", "failure", str(error), "No job of a worker on this machine can succeed without it.")
    else:
        yield Finding("git", "ok", "there, and new enough")
