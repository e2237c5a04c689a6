-- Who finds a row locked gives up after a second: somebody's open transaction on one job must not hold up the ends of all
-- others. That one is written later.
-- Many rows are written in the order of their ids, so that two writers do not wait for each other crosswise: the callers
-- give sorted lists, and the only plan that is left goes through them.

-- name: finish_done
-- I7: the job leaves the hot table and its result appears, in one statement. Losing this commit in a server crash means
-- a second run, which at-least-once allows: it does not wait for the disk. Returns the ids that were still ours (I6).
SET LOCAL synchronous_commit TO off;
SET LOCAL lock_timeout TO '1s';
SET LOCAL enable_seqscan TO off;
SET LOCAL enable_hashjoin TO off;
SET LOCAL enable_mergejoin TO off;
WITH finished AS (
  DELETE FROM {schema}.queue AS q
   USING unnest(%(message_ids)s::uuid[], %(worker_ids)s::uuid[], %(claim_nos)s::bigint[], %(results)s::jsonb[],
                %(ttls)s::float8[]) AS f (message_id, worker_id, claim_no, result, ttl)
   WHERE q.message_id = f.message_id AND q.worker_id = f.worker_id AND q.claim_no = f.claim_no
  RETURNING q.message_id, q.queue_name, q.message, f.result, f.ttl, q.enqueued_at, q.mtime, q.starts, q.errors, q.crashes,
            q.attempts
)
INSERT INTO {schema}.done AS d
  (message_id, queue_name, message, result, result_ttl, enqueued_at, started_at, finished_at, starts, errors, crashes, keep_until,
   attempts)
SELECT message_id, queue_name, message, result, now() + ttl * interval '1 second', enqueued_at, mtime, now(),
       starts, errors, crashes, now() + greatest(%(keep)s, ttl) * interval '1 second', attempts
  FROM finished
ON CONFLICT (message_id) DO UPDATE SET
  queue_name = EXCLUDED.queue_name, message = EXCLUDED.message, result = EXCLUDED.result, result_ttl = EXCLUDED.result_ttl,
  enqueued_at = EXCLUDED.enqueued_at, started_at = EXCLUDED.started_at, finished_at = EXCLUDED.finished_at,
  starts = EXCLUDED.starts, errors = EXCLUDED.errors, crashes = EXCLUDED.crashes, keep_until = EXCLUDED.keep_until,
  attempts = EXCLUDED.attempts
RETURNING d.message_id::text

-- name: finish_retry
-- I7: the error and the next run are written together; there is no moment between an ack and a retry.
SET LOCAL lock_timeout TO '1s';
UPDATE {schema}.queue
   SET state = 'queued', mtime = now(), available_at = now() + %(delay)s * interval '1 second', errors = errors + 1,
       error = %(error)s, message = coalesce(%(message)s, message), worker_id = NULL, claim_no = NULL, turn = NULL,
       attempts = {schema}.with_attempt(attempts, mtime, %(worker)s, 'error', %(error)s)
 WHERE message_id = %(message_id)s AND worker_id = %(worker_id)s AND claim_no = %(claim_no)s
RETURNING message_id::text

-- name: finish_again
-- The actor sent its own message again: a new turn, not an error.
SET LOCAL lock_timeout TO '1s';
UPDATE {schema}.queue
   SET state = 'queued', mtime = now(), available_at = now() + %(delay)s * interval '1 second',
       message = coalesce(%(message)s, message), worker_id = NULL, claim_no = NULL, turn = NULL
 WHERE message_id = %(message_id)s AND worker_id = %(worker_id)s AND claim_no = %(claim_no)s
RETURNING message_id::text

-- name: finish_dead
-- I1: dead with a reason, never gone. The row keeps its message for whoever sends it again.
SET LOCAL lock_timeout TO '1s';
UPDATE {schema}.queue
   SET state = 'rejected', mtime = now(), reason = %(reason)s, error = coalesce(%(error)s, error),
       errors = errors + %(errors)s, result = %(result)s, result_ttl = now() + %(ttl)s * interval '1 second',
       worker_id = NULL, claim_no = NULL,
       attempts = CASE WHEN %(errors)s > 0 THEN {schema}.with_attempt(attempts, mtime, %(worker)s, 'error', %(error)s)
                       ELSE attempts END
 WHERE message_id = %(message_id)s AND worker_id = %(worker_id)s AND claim_no = %(claim_no)s
RETURNING message_id::text

-- name: hand_back
-- I3: a drain costs nothing. The job is again where it was, due at once, with its start returned.
SET LOCAL lock_timeout TO '1s';
SET LOCAL enable_seqscan TO off;
SET LOCAL enable_hashjoin TO off;
SET LOCAL enable_mergejoin TO off;
UPDATE {schema}.queue AS q
   SET state = 'queued', mtime = now(), starts = q.starts - 1, worker_id = NULL, claim_no = NULL
  FROM unnest(%(message_ids)s::uuid[], %(worker_ids)s::uuid[], %(claim_nos)s::bigint[])
       AS f (message_id, worker_id, claim_no)
 WHERE q.message_id = f.message_id AND q.worker_id = f.worker_id AND q.claim_no = f.claim_no
RETURNING q.message_id::text

-- name: put_back
-- I1: nobody here knows the actor, but a worker of another release may: for a while the job goes from one to the next,
-- at growing intervals and without a charge. Then it is dead.
SET LOCAL lock_timeout TO '1s';
WITH judged AS (
  SELECT message_id, coalesce(unknown_since, now()) AS since,
         coalesce(unknown_since, now()) <= now() - %(window)s * interval '1 second' AS is_over
    FROM {schema}.queue
   WHERE message_id = %(message_id)s AND worker_id = %(worker_id)s AND claim_no = %(claim_no)s
     FOR UPDATE
)
UPDATE {schema}.queue AS q
   SET state = CASE WHEN j.is_over THEN 'rejected' ELSE 'queued' END::{schema}.state,
       reason = CASE WHEN j.is_over THEN 'unknown_actor' END, error = %(error)s,
       available_at = CASE WHEN j.is_over THEN q.available_at
                           ELSE now() + least(30, greatest(1, extract(epoch FROM now() - j.since) / 2)) * interval '1 second'
                      END,
       mtime = now(), starts = q.starts - 1, unknown_since = j.since, worker_id = NULL, claim_no = NULL, turn = NULL
  FROM judged AS j
 WHERE q.message_id = j.message_id
RETURNING q.message_id::text, q.state::text

-- name: give_way
-- A job that should wait again, of which a newer one with its key waits already: that one stands for it, and this one is
-- done. Rows that nobody runs have neither worker nor claim. Returns those that gave way; the others wait as they should.
-- I3: when its worker died in it, the newer one is under suspicion from now on, or whoever kills workers would never be
-- found as long as somebody goes on sending it.
SET LOCAL lock_timeout TO '1s';
WITH held AS (
  SELECT q.message_id, newer.message_id AS merged_into
    FROM unnest(%(message_ids)s::uuid[], %(worker_ids)s::uuid[], %(claim_nos)s::bigint[])
           AS f (message_id, worker_id, claim_no)
    JOIN {schema}.queue AS q ON q.message_id = f.message_id AND q.state <> 'queued'
                            AND q.worker_id IS NOT DISTINCT FROM f.worker_id
                            AND q.claim_no IS NOT DISTINCT FROM f.claim_no
    JOIN {schema}.queue AS newer ON newer.key = q.key AND newer.state = 'queued'
   ORDER BY q.message_id
     FOR UPDATE OF q
), gone AS (
  DELETE FROM {schema}.queue AS q USING held AS r WHERE q.message_id = r.message_id
  RETURNING q.message_id, q.queue_name, q.message, q.enqueued_at, q.mtime, q.starts, q.errors,
            q.crashes + (%(crashed)s AND q.begun)::integer AS crashes, q.attempts, r.merged_into
), suspected AS (
  UPDATE {schema}.queue AS q SET crashes = greatest(q.crashes, 1)
    FROM gone WHERE %(crashed)s AND q.message_id = gone.merged_into AND gone.crashes > 0
)
INSERT INTO {schema}.done AS d
  (message_id, queue_name, message, enqueued_at, started_at, finished_at, starts, errors, crashes, attempts, keep_until,
   merged_into)
SELECT message_id, queue_name, message, enqueued_at, mtime, now(), starts, errors, crashes, attempts,
       now() + %(keep)s * interval '1 second', merged_into
  FROM gone
ON CONFLICT (message_id) DO UPDATE SET
  finished_at = EXCLUDED.finished_at, keep_until = EXCLUDED.keep_until, merged_into = EXCLUDED.merged_into
RETURNING d.message_id::text, d.merged_into::text
