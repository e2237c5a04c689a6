-- name: dead_queues
-- A loose scan: one step per queue, however many jobs are dead in it.
WITH RECURSIVE step (queue_name) AS (
  (SELECT queue_name FROM {schema}.queue WHERE state = 'rejected' ORDER BY queue_name LIMIT 1)
  UNION ALL
  SELECT (SELECT q.queue_name FROM {schema}.queue AS q WHERE q.state = 'rejected' AND q.queue_name > step.queue_name
           ORDER BY q.queue_name LIMIT 1) FROM step WHERE step.queue_name IS NOT NULL
)
SELECT queue_name FROM step WHERE queue_name IS NOT NULL

-- name: dead_causes
-- A loose scan again: one step per cause. Counting stops at %(cap)s, so the answer costs the same for any number of dead.
-- Statistics of a queue are wrong by nature, so the planner is not asked whether to read the whole table.
SET LOCAL enable_seqscan TO off;
WITH RECURSIVE step (queue_name, cause) AS (
  (SELECT q.queue_name, {schema}.cause(q.message, q.reason, q.error)
     FROM {schema}.queue AS q
    WHERE q.state = 'rejected' AND (%(queue_name)s::text IS NULL OR q.queue_name = %(queue_name)s)
    ORDER BY q.queue_name, {schema}.cause(q.message, q.reason, q.error) LIMIT 1)
  UNION ALL
  SELECT further.queue_name, further.cause
    FROM step CROSS JOIN LATERAL (
      SELECT q.queue_name, {schema}.cause(q.message, q.reason, q.error) AS cause
        FROM {schema}.queue AS q
       WHERE q.state = 'rejected' AND (%(queue_name)s::text IS NULL OR q.queue_name = %(queue_name)s)
         AND (q.queue_name, {schema}.cause(q.message, q.reason, q.error)) > (step.queue_name, step.cause)
       ORDER BY q.queue_name, {schema}.cause(q.message, q.reason, q.error) LIMIT 1) AS further
)
SELECT step.queue_name, step.cause, one.actor_name, one.reason, one.error, many.count, many.first_at, many.last_at,
       one.message_id
  FROM (SELECT queue_name, cause FROM step LIMIT %(limit)s) AS step
 CROSS JOIN LATERAL (
   SELECT q.message_id::text, q.message ->> 'actor_name' AS actor_name, q.reason, split_part(q.error, E'\n', 1) AS error
     FROM {schema}.queue AS q
    WHERE q.state = 'rejected' AND q.queue_name = step.queue_name
      AND {schema}.cause(q.message, q.reason, q.error) = step.cause
    ORDER BY q.mtime DESC LIMIT 1) AS one
 CROSS JOIN LATERAL (
   SELECT count(*) AS count, min(few.mtime) AS first_at, max(few.mtime) AS last_at
     FROM (SELECT q.mtime FROM {schema}.queue AS q
            WHERE q.state = 'rejected' AND q.queue_name = step.queue_name
              AND {schema}.cause(q.message, q.reason, q.error) = step.cause
              AND q.mtime >= coalesce(%(since)s::timestamptz, '-infinity')
              AND q.mtime <= coalesce(%(until)s::timestamptz, 'infinity')
              AND (%(text)s::text IS NULL OR strpos(lower(q.error), lower(%(text)s)) > 0)
            LIMIT %(cap)s) AS few) AS many
 WHERE many.count > 0
   AND (%(cause)s::text IS NULL OR step.cause = %(cause)s)
   AND (%(actor)s::text IS NULL OR one.actor_name = %(actor)s)
   AND CASE WHEN %(reasons)s::text[] IS NULL THEN one.reason NOT IN ('discarded', 'cancelled')
            ELSE one.reason = ANY (%(reasons)s) END
 ORDER BY many.count DESC, step.queue_name, step.cause

-- name: dead_page
-- The next %(limit)s dead jobs of a queue behind a place in it, oldest death first, each with whether it is asked for. So
-- a walk over all of them is made of short statements, however few of them match.
SET LOCAL enable_seqscan TO off;
SELECT q.message_id::text, q.mtime,
       (%(actor)s::text IS NULL OR coalesce(q.message ->> 'actor_name' = %(actor)s, false))
       AND CASE WHEN %(reasons)s::text[] IS NULL THEN q.reason NOT IN ('discarded', 'cancelled')
                ELSE q.reason = ANY (%(reasons)s) END
       AND (%(text)s::text IS NULL OR coalesce(strpos(lower(q.error), lower(%(text)s)) > 0, false))
  FROM {schema}.queue AS q
 WHERE q.state = 'rejected' AND q.queue_name = %(queue_name)s
   AND (%(cause)s::text IS NULL OR {schema}.cause(q.message, q.reason, q.error) = %(cause)s)
   AND q.mtime >= coalesce(%(since)s::timestamptz, '-infinity') AND q.mtime <= coalesce(%(until)s::timestamptz, 'infinity')
   AND (%(after_time)s::timestamptz IS NULL OR q.mtime >= %(after_time)s::timestamptz
        AND (q.mtime, q.message_id) > (%(after_time)s::timestamptz, %(after_id)s::uuid))
 ORDER BY q.mtime, q.message_id
 LIMIT %(limit)s

-- name: dead_newest
-- One by one for people: the newest first, of one queue. Only so many are looked at as one statement may.
SET LOCAL enable_seqscan TO off;
SELECT q.message_id::text, q.queue_name, q.message ->> 'actor_name', q.message -> 'args', q.message -> 'kwargs',
       q.reason, split_part(q.error, E'\n', 1), q.mtime, q.errors, q.crashes, q.redriven,
       {schema}.cause(q.message, q.reason, q.error)
  FROM {schema}.queue AS q
 WHERE q.state = 'rejected' AND q.queue_name = %(queue_name)s
   AND (%(cause)s::text IS NULL OR {schema}.cause(q.message, q.reason, q.error) = %(cause)s)
   AND q.mtime >= coalesce(%(since)s::timestamptz, '-infinity') AND q.mtime <= coalesce(%(until)s::timestamptz, 'infinity')
   AND (%(actor)s::text IS NULL OR q.message ->> 'actor_name' = %(actor)s)
   AND CASE WHEN %(reasons)s::text[] IS NULL THEN q.reason NOT IN ('discarded', 'cancelled')
            ELSE q.reason = ANY (%(reasons)s) END
   AND (%(text)s::text IS NULL OR strpos(lower(q.error), lower(%(text)s)) > 0)
 ORDER BY q.mtime DESC
 LIMIT %(limit)s

-- name: dead_letters
-- Everything about some dead jobs.
SELECT q.message_id::text, q.queue_name, q.message, q.reason, q.error, coalesce(q.first_enqueued_at, q.enqueued_at),
       q.enqueued_at, q.mtime, q.starts, q.errors, q.crashes, q.redriven, coalesce(q.attempts, '[]'),
       {schema}.cause(q.message, q.reason, q.error)
  FROM {schema}.queue AS q
 WHERE q.state = 'rejected' AND q.message_id = ANY (%(message_ids)s::uuid[])
 ORDER BY q.mtime, q.message_id

-- name: redrive
-- I3: as if it were sent now, with all its budgets. What it died of goes where its earlier runs are, the last error stays
-- in its place until there is another one. A job that is not dead any more is left alone. What dramatiq notes in a message
-- about earlier runs is removed: the row is what counts. Of those that share a key the one that was sent last waits again,
-- unless a newer one waits already; the others are left for give_way. Keys are taken in their order, as by place_many: the
-- only plan that is left goes through the sorted list.
SET LOCAL enable_seqscan TO off;
SET LOCAL enable_hashjoin TO off;
SET LOCAL enable_mergejoin TO off;
WITH dead AS (
  SELECT d.message_id, d.key, d.enqueued_at FROM {schema}.queue AS d
   WHERE d.message_id = ANY (%(message_ids)s::uuid[]) AND d.state = 'rejected'
     AND (d.key IS NULL
          OR NOT EXISTS (SELECT FROM {schema}.queue AS newer WHERE newer.key = d.key AND newer.state = 'queued'))
   ORDER BY d.message_id FOR UPDATE
), ranked AS (
  SELECT message_id, key, row_number() OVER (PARTITION BY coalesce(key, message_id::text)
                                        ORDER BY enqueued_at DESC, message_id DESC) AS place
    FROM dead
)
UPDATE {schema}.queue AS q
   SET state = 'queued', mtime = now(), available_at = now(), enqueued_at = now(),
       first_enqueued_at = coalesce(q.first_enqueued_at, q.enqueued_at),
       expires_at = now() + interval '1 second' * CASE
         WHEN jsonb_typeof(q.message #> '{options,max_age}') = 'number'
         THEN (q.message #>> '{options,max_age}')::float8 / 1000
         ELSE coalesce((%(max_ages)s::jsonb ->> (q.message ->> 'actor_name'))::float8, %(expire_after)s::float8) END,
       starts = 0, errors = 0, crashes = 0, begun = false, unknown_since = NULL,
       reason = NULL, result = NULL, result_ttl = NULL, redriven = q.redriven + 1, turn = NULL,
       attempts = {schema}.with_attempt(q.attempts, q.mtime, NULL, 'redriven', concat_ws(': ', q.reason, q.error)),
       message = CASE WHEN jsonb_typeof(q.message -> 'options') = 'object'
         THEN jsonb_set(q.message, '{options}', (q.message -> 'options') - '{retries,traceback,requeue_timestamp}'::text[])
         ELSE q.message END
  FROM (SELECT message_id FROM ranked WHERE place = 1 ORDER BY key) AS d
 WHERE q.message_id = d.message_id AND q.state = 'rejected'
RETURNING q.message_id::text, q.queue_name

-- name: discard
-- I1: put aside, not removed: it is counted and listed no more, and can be looked up until its retention is over.
UPDATE {schema}.queue AS q
   SET reason = 'discarded',
       attempts = {schema}.with_attempt(q.attempts, q.mtime, NULL, 'discarded', concat_ws(': ', q.reason, q.error))
 WHERE q.state = 'rejected' AND q.reason NOT IN ('discarded', 'cancelled') AND q.message_id IN (
   SELECT d.message_id FROM {schema}.queue AS d
    WHERE d.message_id = ANY (%(message_ids)s::uuid[]) AND d.state = 'rejected'
    ORDER BY d.message_id FOR UPDATE)
RETURNING q.message_id::text, q.queue_name

-- name: import_dead
-- Dead again under their own ids. Their retention begins now: nobody imports a job to have it removed the minute after.
INSERT INTO {schema}.queue AS q
  (message_id, queue_name, state, mtime, message, available_at, enqueued_at, first_enqueued_at, reason, error,
   starts, errors, crashes, redriven, key, fairness_key, attempts)
SELECT f.message_id, f.queue_name, 'rejected', now(), f.message, now(), coalesce(f.enqueued_at, f.died_at, now()),
       f.first_enqueued_at, f.reason, f.error, coalesce(f.starts, 0), coalesce(f.errors, 0), coalesce(f.crashes, 0),
       coalesce(f.redriven, 0),
       {schema}.key_of(f.message), f.message #>> '{options,fairness_key}',
       {schema}.with_attempt(f.attempts, f.died_at, NULL, 'imported', concat_ws(': ', f.reason, f.error))
  FROM jsonb_to_recordset(%(letters)s::jsonb) AS f (
    message_id uuid, queue_name text, message jsonb, enqueued_at timestamptz, first_enqueued_at timestamptz,
    died_at timestamptz, reason text, error text, starts integer, errors integer, crashes integer, redriven integer,
    attempts jsonb)
 WHERE NOT EXISTS (SELECT FROM {schema}.done AS d WHERE d.message_id = f.message_id)
ON CONFLICT (message_id) DO NOTHING
RETURNING q.message_id::text
