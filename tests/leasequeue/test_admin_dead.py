"""Dead letters: what is kept of a job that was given up, how it is found, and what putting it back means."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from datetime import timedelta

import dramatiq
import pytest
from dead_jobs import bury
from sql_access import Sql
from waiting import wait_until

from leasequeue import LeaseBroker, MessageRefused, PermanentError
from leasequeue.admin import Admin, DeadFilter, DeadLetters, in_batches

StartWorker = Callable[..., dramatiq.Worker]

EVERYTHING = DeadFilter()


@pytest.fixture
def dead(broker: LeaseBroker) -> DeadLetters:
    return DeadLetters(broker)


def flat(pages: Iterator[list[str]]) -> list[str]:
    return [each for page in pages for each in page]


def test_jobs_that_died_of_the_same_are_one_cause_whatever_numbers_and_names_their_errors_hold(
    dead: DeadLetters, sql: Sql
) -> None:
    bury(sql, 3, age="2 hours")
    newest = bury(sql, 2)[-1]
    bury(sql, 1, reason="permanent", error="ValueError: no such file '/srv/#/a'")
    bury(sql, 1, reason="permanent", error="ValueError: no such file '/home/of somebody'")
    bury(sql, 1, actor="another")
    bury(sql, 1, reason="crashed", error="crashed 3 times: it was silent")
    bury(sql, 1, reason="crashed", error="crashed 3 times: its session ended")

    causes = dead.causes(EVERYTHING)

    assert [(each.count, each.reason, each.actor_name) for each in causes] == [
        (5, "retries_exhausted", "work"),
        (2, "crashed", "work"),
        (2, "permanent", "work"),
        (1, "retries_exhausted", "another"),
    ]
    assert causes[0].message_id == newest
    assert causes[0].error == "TimeoutError: no answer from host-2"
    assert causes[0].last_at - causes[0].first_at > timedelta(hours=1)
    assert len({each.cause for each in causes}) == 4


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, {"timeouts", "old", "elsewhere"}),
        ({"queue": "elsewhere"}, {"elsewhere"}),
        ({"actor": "another"}, {"elsewhere"}),
        ({"reasons": ("crashed", "expired")}, {"elsewhere"}),
        ({"reasons": ("discarded",)}, {"aside"}),
        ({"text": "NO ANSWER"}, {"timeouts", "old"}),
        ({"text": "in fetch"}, {"timeouts", "old"}),
        ({"text": "100%"}, set()),
    ],
)
def test_filters_choose_the_same_jobs_for_counts_lists_and_walks(
    filters: dict[str, object], expected: set[str], dead: DeadLetters, sql: Sql
) -> None:
    groups = {
        "timeouts": bury(sql, 2),
        "old": bury(sql, 1, age="3 days"),
        "elsewhere": bury(sql, 2, queue="elsewhere", actor="another", reason="crashed", error="crashed 3 times"),
        "aside": bury(sql, 1, reason="discarded"),
    }
    wanted = DeadFilter(**filters)  # type: ignore[arg-type]
    ids = {each for name in expected for each in groups[name]}

    assert set(flat(dead.walk(wanted, page=2))) == ids
    assert dead.count(wanted) == len(ids)
    assert {each.message_id for each in dead.newest(wanted, limit=100)} == ids
    assert sum(each.count for each in dead.causes(wanted)) == len(ids)


def test_filters_by_time_and_by_cause(dead: DeadLetters, broker: LeaseBroker, sql: Sql) -> None:
    old, new = bury(sql, 2, age="3 days"), bury(sql, 2)
    bury(sql, 1, reason="permanent", error="ValueError: other")
    ((now,),) = broker.ask("now", {})
    yesterday = now - timedelta(days=1)
    cause = dead.causes(EVERYTHING)[0].cause

    assert flat(dead.walk(DeadFilter(cause=cause))) == old + new, "the oldest death first"
    assert flat(dead.walk(DeadFilter(cause=cause, since=yesterday))) == new
    assert flat(dead.walk(DeadFilter(cause=cause, until=yesterday))) == old
    assert [each.count for each in dead.causes(DeadFilter(cause=cause, since=yesterday))] == [2]
    assert [each.message_id for each in dead.newest(DeadFilter(cause=cause), limit=3)] == [*new[::-1], old[1]]


def test_a_walk_ends_although_jobs_die_while_it_goes_on(dead: DeadLetters, sql: Sql) -> None:
    first = bury(sql, 3, age="1 minute")
    seen = []
    for page in dead.walk(EVERYTHING, page=1):
        seen += page
        bury(sql, 1)

    assert seen == first


def test_a_walk_leaves_out_none_of_those_that_died_at_the_same_moment(dead: DeadLetters, sql: Sql) -> None:
    ids = bury(sql, 5)
    sql("UPDATE dramatiq.queue SET mtime = now()")
    assert sorted(flat(dead.walk(EVERYTHING, page=2))) == sorted(ids)


def test_a_dead_job_keeps_what_it_was_and_what_became_of_each_run(dead: DeadLetters, sql: Sql) -> None:
    (job,) = bury(sql, 1, error="ValueError: no\n\nTraceback\n  line 3")

    letter = dead.get(job)

    assert letter is not None
    assert (letter.reason, letter.error) == ("retries_exhausted", "ValueError: no\n\nTraceback\n  line 3")
    assert (letter.starts, letter.errors, letter.crashes, letter.redriven) == (4, 4, 0, 0)
    assert letter.message["args"] == [1]
    assert letter.first_enqueued_at == letter.enqueued_at < letter.died_at
    assert [each["outcome"] for each in letter.attempts] == ["error"]


def test_a_redriven_job_starts_with_fresh_budgets_and_keeps_its_history(dead: DeadLetters, sql: Sql) -> None:
    job, other = bury(sql, 2)
    sql("UPDATE dramatiq.queue SET crashes = 2, begun = true, unknown_since = now(), expires_at = now()")
    before = dead.get(job)
    assert before is not None

    assert dead.redrive([job]) == [job]
    assert dead.redrive([job]) == [], "it is not dead any more"

    ((facts, options),) = sql(
        "SELECT (state, errors, crashes, starts, begun, unknown_since, reason, redriven, available_at <= now(),"
        " expires_at BETWEEN now() + interval '23 hours' AND now() + interval '24 hours')::text, message -> 'options'"
        " FROM dramatiq.queue WHERE message_id = %s",
        job,
    )
    assert facts == "(queued,0,0,0,f,,,1,t,t)"
    assert options == {}, "dramatiq's own notes about earlier runs are gone"
    sql("UPDATE dramatiq.queue SET state = 'rejected', reason = 'expired' WHERE message_id = %s", job)
    after = dead.get(job)
    assert after is not None
    assert after.first_enqueued_at == before.enqueued_at < after.enqueued_at
    assert (after.error, after.redriven) == (before.error, 1)
    assert [each["outcome"] for each in after.attempts] == ["error", "redriven"]
    assert after.attempts[-1]["error"] == "retries_exhausted: TimeoutError: no answer from host-1"
    assert dead.get(other) is not None


@pytest.mark.parametrize("message", [None, "[1, 2]", '"text"', '{"options": 5}', '{"options": {"max_age": "long"}}'])
def test_a_job_that_nobody_can_read_can_be_redriven_too(message: str | None, dead: DeadLetters, sql: Sql) -> None:
    (job,) = bury(sql)
    sql("UPDATE dramatiq.queue SET message = %s, reason = 'unreadable'", message)

    assert [each.count for each in dead.causes(EVERYTHING)] == [1]
    assert dead.newest(EVERYTHING, limit=1)[0].actor_name is None
    assert dead.redrive([job]) == [job]


def test_max_age_of_the_job_and_of_its_actor_count_for_a_redriven_job(broker: LeaseBroker, sql: Sql) -> None:
    dramatiq.actor(lambda number: None, broker=broker, actor_name="work", max_age=7_200_000)
    plain, own = bury(sql, 2)
    sql(
        "UPDATE dramatiq.queue SET message = jsonb_set(message, '{options,max_age}', '60000') WHERE message_id = %s",
        own,
    )
    DeadLetters(broker).redrive([plain, own])

    left = "SELECT extract(epoch FROM expires_at - enqueued_at)::int FROM dramatiq.queue WHERE message_id = %s"
    assert (sql(left, plain), sql(left, own)) == ([(7200,)], [(60,)])


def test_a_redriven_job_is_run_and_when_it_dies_again_both_deaths_are_known(
    broker: LeaseBroker, start_worker: StartWorker, dead: DeadLetters
) -> None:
    is_repaired = False

    @dramatiq.actor(broker=broker, max_retries=0)
    def fail(number: int) -> None:
        if not is_repaired:
            raise PermanentError(f"number {number} is wrong")

    messages = [fail.send(number) for number in range(3)]
    start_worker(broker)
    wait_until(lambda: dead.count(EVERYTHING) == 3)
    (cause,) = dead.causes(EVERYTHING)
    assert (cause.reason, cause.count) == ("permanent", 3)

    dead.redrive([messages[0].message_id])
    wait_until(lambda: dead.count(EVERYTHING) == 3)
    letter = dead.get(messages[0].message_id)
    assert letter is not None
    assert (letter.redriven, letter.errors) == (1, 1)
    assert "redriven" in [each["outcome"] for each in letter.attempts]

    is_repaired = True
    for batch in in_batches(dead.walk(EVERYTHING), dead.redrive):
        assert len(batch.changed) == 3
    broker.join("default", timeout=10_000)
    assert dead.count(EVERYTHING) == 0


def test_a_discarded_job_is_counted_no_more_and_can_still_be_put_back(
    dead: DeadLetters, broker: LeaseBroker, sql: Sql
) -> None:
    job, other = bury(sql, 2)

    assert dead.discard([job]) == [job]
    assert dead.discard([job]) == [], "it was put aside already"

    assert flat(dead.walk(EVERYTHING)) == [other]
    ((died_at,),) = sql("SELECT mtime FROM dramatiq.queue WHERE message_id = %s", job)
    letter = dead.get(job)
    assert letter is not None
    assert (letter.reason, letter.died_at) == ("discarded", died_at), "its retention goes on"
    assert letter.attempts[-1]["error"] == "retries_exhausted: TimeoutError: no answer from host-1"
    assert [queue.dead for queue in Admin(broker).snapshot().queues] == [1]
    assert dead.redrive([job]) == [job]


def test_an_export_brings_the_same_jobs_back_dead_into_an_empty_queue(dead: DeadLetters, sql: Sql) -> None:
    bury(sql, 3, age="40 days")
    bury(sql, 1, queue="elsewhere", reason="unreadable")
    sql("UPDATE dramatiq.queue SET message = NULL WHERE reason = 'unreadable'")
    lines = [json.dumps(document) for document in dead.export(EVERYTHING)]
    before = {each: dead.get(each) for each in flat(dead.walk(EVERYTHING))}
    sql("DELETE FROM dramatiq.queue")

    stored = dead.restore(json.loads(line) for line in lines)
    assert dead.restore(json.loads(line) for line in lines) == [], "the same again changes nothing"

    assert set(stored) == set(before)
    for each, was in before.items():
        now = dead.get(each)
        assert was is not None
        assert now is not None
        for name in ("queue_name", "message", "reason", "error", "enqueued_at", "first_enqueued_at", "errors", "cause"):
            assert getattr(now, name) == getattr(was, name), name
        assert now.attempts[:-1] == was.attempts
        assert now.attempts[-1]["outcome"] == "imported"
        assert now.died_at > was.died_at, "its retention begins anew"


@pytest.mark.parametrize(
    "document",
    ["text", {}, {"message_id": "no uuid", "queue_name": "q", "reason": "r"}, {"message_id": 1}],
)
def test_what_is_no_export_is_refused_whole(document: object, dead: DeadLetters, sql: Sql) -> None:
    bury(sql, 1)
    (good,) = dead.export(EVERYTHING)
    sql("DELETE FROM dramatiq.queue")

    with pytest.raises(MessageRefused):
        dead.restore([good, document])  # type: ignore[list-item]

    assert sql("SELECT count(*) FROM dramatiq.queue") == [(0,)]


def test_batches_keep_to_their_limit_and_to_their_rate() -> None:
    pages = [[str(number) for number in range(start, start + 10)] for start in (0, 10, 20)]
    taken: list[list[str]] = []

    def act(ids: list[str]) -> list[str]:
        taken.append(ids)
        return ids[1:]

    batches = list(in_batches(pages, act, limit=25))
    assert [len(ids) for ids in taken] == [10, 10, 5]
    assert [(batch.asked, len(batch.changed)) for batch in batches] == [(10, 9), (10, 9), (5, 4)]

    taken.clear()
    started = time.monotonic()
    list(in_batches(pages, act, limit=12, rate=24))
    assert [len(ids) for ids in taken] == [6, 4, 2], "a quarter of a second's worth at once"
    assert time.monotonic() - started >= 10 / 24


def test_finding_causes_reads_a_few_pages_whatever_is_dead(dead: DeadLetters, broker: LeaseBroker, sql: Sql) -> None:
    sql("ALTER TABLE dramatiq.queue SET (autovacuum_enabled = off)")
    for number in range(3):
        bury(sql, 1_500, error=f"Error{'ABC'[number]}: broken")
    sql("VACUUM dramatiq.queue")
    *settings, causes = broker.queries["dead_causes"].split(";\n")
    parameters = {**DeadFilter().parameters(), "limit": 1000, "cap": 10}
    with broker.session(5) as connection:
        for setting in settings:
            connection.execute(setting.replace("LOCAL ", ""), timeout=5)
        plan = "\n".join(
            row[0] for row in connection.execute("EXPLAIN (ANALYZE, BUFFERS) " + causes, parameters, timeout=10)
        )
    assert "Seq Scan on queue" not in plan
    assert "Index Scan using queue_dead_cause" in plan or "Index Only Scan using queue_dead_cause" in plan
    assert len(dead.causes(EVERYTHING)) == 3
