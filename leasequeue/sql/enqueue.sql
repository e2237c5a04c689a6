-- name: enqueue
-- I1: when this has answered, the job is on disk. The short form of what follows, for a new job that is due at once: the
-- defaults of the table say the rest, which halves what the server spends on it.
INSERT INTO {schema}.queue (message_id, queue_name, state, message, expires_at)
VALUES (%(message_id)s, %(queue_name)s, 'queued', %(message)s, now() + %(expire_after)s::interval)

-- name: enqueue_group
-- The same for jobs that several threads send at the same moment: one round trip and one flush to disk for all.
INSERT INTO {schema}.queue (message_id, queue_name, state, message, expires_at)
SELECT message_id, queue_name, 'queued', message, now() + expire_after
  FROM unnest(%(message_ids)s::uuid[], %(queue_names)s::text[], %(messages)s::jsonb[], %(expire_afters)s::interval[])
       AS several (message_id, queue_name, message, expire_after)

-- part: all_anew
-- Of a row whose job is replaced by a new one with its id: nothing of the old one stays.
  queue_name = EXCLUDED.queue_name, state = 'queued', mtime = now(), message = EXCLUDED.message,
  available_at = EXCLUDED.available_at, expires_at = EXCLUDED.expires_at, errors = EXCLUDED.errors,
  worker_id = NULL, claim_no = NULL, crashes = 0, reason = NULL, error = NULL, result = NULL, result_ttl = NULL,
  begun = true, unknown_since = NULL, attempts = NULL, redriven = 0, first_enqueued_at = NULL,
  key = NULL, fairness_key = NULL, turn = NULL

-- name: enqueue_or_replace
-- The same id again replaces the job: whoever runs the old one has lost it (I6), and the new one is run.
INSERT INTO {schema}.queue AS q
  (message_id, queue_name, state, mtime, message, available_at, enqueued_at, expires_at, errors)
VALUES (%(message_id)s, %(queue_name)s, 'queued', now(), %(message)s, now() + %(delay)s::interval, now(),
        now() + %(delay)s::interval + %(expire_after)s::interval, %(errors)s)
ON CONFLICT (message_id) DO UPDATE SET {all_anew}

-- name: enqueue_again
-- The connection broke after the statement was sent: it may have worked, and the job may be running or done by now.
INSERT INTO {schema}.queue
  (message_id, queue_name, state, mtime, message, available_at, enqueued_at, expires_at, errors)
SELECT %(message_id)s, %(queue_name)s, 'queued', now(), %(message)s, now() + %(delay)s::interval, now(),
       now() + %(delay)s::interval + %(expire_after)s::interval, %(errors)s
 WHERE NOT EXISTS (SELECT FROM {schema}.done WHERE message_id = %(message_id)s)
ON CONFLICT (message_id) DO NOTHING

-- name: enqueue_many
-- One statement, one commit, one flush to disk for thousands of jobs. A message that is stored already is left alone, so
-- that the statement can be sent again when its answer was lost. A microsecond apart, the jobs keep their order, and a
-- claim that has passed some of them need not look at these again.
INSERT INTO {schema}.queue (message_id, queue_name, state, message, available_at, expires_at)
SELECT (m ->> 'message_id')::uuid, m ->> 'queue_name', 'queued', m,
       now() + %(delay)s::interval - (%(count)s - place) * interval '1 microsecond',
       now() + %(delay)s::interval + %(expire_after)s::interval
  FROM jsonb_array_elements(%(messages)s::jsonb) WITH ORDINALITY AS many (m, place)
ON CONFLICT (message_id) DO NOTHING

-- name: place
-- A job with a key or an owner. Returns its id, which is another one's when it was merged into that.
SELECT job_id::text, merged
  FROM {schema}.place(%(message_id)s::uuid, %(queue_name)s, %(message)s::jsonb, %(delay)s::interval,
                      %(expire_after)s::interval, %(errors)s, %(may_be_stored)s)

-- name: place_many
-- The same for many; of one key the last one stays. One caller at a time, who first locks the rows that are there in the
-- order of their ids, as everybody does, and then takes keys in their order: nobody waits for each other crosswise.
SELECT FROM {schema}.chore WHERE name = 'place_many' FOR UPDATE;
SELECT FROM {schema}.queue AS q
 WHERE q.key IS NOT NULL AND q.state = 'queued'
   AND q.key = ANY (ARRAY(SELECT {schema}.key_of(m) FROM jsonb_array_elements(%(messages)s::jsonb) AS many (m)))
 ORDER BY q.message_id
   FOR UPDATE;
SELECT one.message ->> 'message_id', placed.job_id::text, placed.merged
  FROM (SELECT m AS message
          FROM jsonb_array_elements(%(messages)s::jsonb) WITH ORDINALITY AS many (m, place)
         ORDER BY {schema}.key_of(m), place
        OFFSET 0) AS one
 CROSS JOIN LATERAL {schema}.place((one.message ->> 'message_id')::uuid, one.message ->> 'queue_name', one.message,
                                   %(delay)s::interval, %(expire_after)s::interval, 0, true) AS placed

-- name: enqueue_inside
-- I1: in the caller's transaction, so seen at its commit. By whichever driver: hence one parameter, a text, and one in the
-- answer, since they differ in what they make of all else. The same id again replaces the job, as above. Times count from
-- this statement, since the transaction may be old. I8: it rings for nobody.
WITH given AS (SELECT %(jobs)s::text::jsonb AS jobs), stored AS (
  INSERT INTO {schema}.queue AS q (message_id, queue_name, state, message, available_at, expires_at, errors)
  SELECT (m ->> 'message_id')::uuid, m ->> 'queue_name', 'queued', m,
         statement_timestamp() + (jobs ->> 'delay')::float8 * interval '1 second',
         statement_timestamp() + ((jobs ->> 'delay')::float8 + (jobs ->> 'expire_after')::float8) * interval '1 second',
         coalesce((m #>> '{options,retries}')::integer, 0)
    FROM given CROSS JOIN LATERAL jsonb_array_elements(jobs -> 'messages') AS m
  ON CONFLICT (message_id) DO UPDATE SET {all_anew}
)
SELECT '[]'::text

-- name: enqueue_many_inside
-- The same for many at once, in their order. One whose id is stored already is left alone.
WITH given AS (SELECT %(jobs)s::text::jsonb AS jobs), stored AS (
  INSERT INTO {schema}.queue (message_id, queue_name, state, message, available_at, expires_at)
  SELECT (m ->> 'message_id')::uuid, m ->> 'queue_name', 'queued', m,
         statement_timestamp() + (jobs ->> 'delay')::float8 * interval '1 second'
           - (jsonb_array_length(jobs -> 'messages') - place) * interval '1 microsecond',
         statement_timestamp() + ((jobs ->> 'delay')::float8 + (jobs ->> 'expire_after')::float8) * interval '1 second'
    FROM given CROSS JOIN LATERAL jsonb_array_elements(jobs -> 'messages') WITH ORDINALITY AS many (m, place)
  ON CONFLICT (message_id) DO NOTHING
)
SELECT '[]'::text

-- name: place_inside
-- The same for jobs that have a key or an owner, in the order of their keys. Whoever sends one of these keys meanwhile waits
-- for the caller's commit. The answer is [[id of the message, id of its job, whether it was merged], ...].
WITH given AS (
  SELECT jobs, (jobs ->> 'delay')::float8 * interval '1 second' AS delay,
         (jobs ->> 'expire_after')::float8 * interval '1 second' AS expire_after, statement_timestamp() - now() AS age
    FROM (SELECT %(jobs)s::text::jsonb AS jobs) AS text
), placed AS (
  SELECT one.m ->> 'message_id' AS message_id, p.job_id, p.merged
    FROM (SELECT given.*, m, place
            FROM given CROSS JOIN LATERAL jsonb_array_elements(jobs -> 'messages') WITH ORDINALITY AS many (m, place)
           ORDER BY {schema}.key_of(m), place
          OFFSET 0) AS one
   CROSS JOIN LATERAL {schema}.place(
     (m ->> 'message_id')::uuid, m ->> 'queue_name', m,
     CASE WHEN delay > interval '0' THEN delay + age ELSE delay END,
     CASE WHEN delay > interval '0' THEN expire_after ELSE expire_after + age END,
     coalesce((m #>> '{options,retries}')::integer, 0), false) AS p
)
SELECT jsonb_agg(jsonb_build_array(message_id, job_id, merged))::text FROM placed

-- name: ring
-- I8: a doorbell, nothing more. In a transaction of its own, so that no commit waits for the notification lock.
SELECT pg_notify(%(channel)s, '')
