-- name: hold
-- I6: for writes that belong to a run but not to the queue, in their own transaction: ours until it ends.
SELECT FROM {schema}.queue
 WHERE message_id = %(message_id)s AND worker_id = %(worker_id)s AND claim_no = %(claim_no)s
   FOR SHARE

-- name: claim
-- I2, I6: one worker gets the row, under a claim number of its own. I9: the database says what is due. I12: a delayed
-- job is a row with a later available_at. A worker that was judged dead claims nothing.
-- It ends by itself before its caller gives up on it: a claim must not be made that nobody waits for any more.
-- Losing this commit in a server crash leaves the job queued, so it need not wait for the disk. Statistics of a queue are
-- wrong by nature, so the planner is not asked whether to read the whole table.
-- Each queue is read from a floor on: below it are the remains of claimed jobs, which pile up while an old snapshot keeps
-- vacuum away.
-- I3: of the jobs that were there when a worker died, one at the most; it will run alone, so that the next death has one
-- culprit. Such a job counts as begun only when begin_suspect says so.
-- A paused queue is found out here and nowhere else: the next claim knows it, whatever a worker has missed.
-- A job whose key is running waits until that has ended; as only one job of a key can wait, that costs one probe a key.
-- By turn, when owners share the queue: then those that have a turn come first, and those without fill what is left. A
-- statement of its own, since a third of what a claim of one job costs is its planning.
SET LOCAL synchronous_commit TO off;
SET LOCAL enable_seqscan TO off;
SET LOCAL statement_timeout TO '8s';
UPDATE {schema}.queue AS q
   SET state = 'consumed', mtime = now(), worker_id = %(worker_id)s, claim_no = %(claim_no)s, starts = q.starts + 1,
       begun = q.crashes = 0
 WHERE q.ctid = ANY (ARRAY(
   SELECT ready.ctid
     FROM (
       SELECT one.ctid
         FROM (SELECT suspect.ctid
                 FROM unnest(%(queues)s::text[]) AS wanted (queue_name)
                CROSS JOIN LATERAL (
                  SELECT r.ctid
                    FROM {schema}.queue AS r
                   WHERE r.state = 'queued' AND r.queue_name = wanted.queue_name AND r.crashes > 0
                     AND r.available_at <= now()
                     AND NOT EXISTS (SELECT FROM {schema}.paused AS p WHERE p.queue_name = wanted.queue_name)
                     AND (r.key IS NULL OR NOT {schema}.key_runs(r.key))
                   ORDER BY r.available_at
                   LIMIT 1
                     FOR UPDATE SKIP LOCKED
                ) AS suspect
                LIMIT %(suspects)s) AS one
       UNION ALL
       /* only claim_by_turn */
       SELECT next.ctid
         FROM unnest(%(queues)s::text[], %(turn_floors)s::bigint[]) AS wanted (queue_name, floor)
        CROSS JOIN LATERAL (
          SELECT r.ctid
            FROM {schema}.queue AS r
           WHERE r.state = 'queued' AND r.queue_name = wanted.queue_name AND r.crashes = 0
             AND r.turn >= wanted.floor AND r.available_at <= now()
             AND NOT EXISTS (SELECT FROM {schema}.paused AS p WHERE p.queue_name = wanted.queue_name)
             AND (r.key IS NULL OR NOT {schema}.key_runs(r.key))
           ORDER BY r.turn
           LIMIT %(limit)s
             FOR UPDATE SKIP LOCKED
        ) AS next
       UNION ALL
       /* end */
       SELECT innocent.ctid
         FROM unnest(%(queues)s::text[], %(floors)s::float8[]) WITH ORDINALITY AS wanted (queue_name, floor, place)
        CROSS JOIN LATERAL (
          SELECT r.ctid
            FROM {schema}.queue AS r
           WHERE r.state = 'queued' AND r.queue_name = wanted.queue_name AND r.crashes = 0
             AND r.available_at >= to_timestamp(wanted.floor) AND r.available_at <= now()
             /* only claim_by_turn */ AND r.turn IS NULL /* end */
             AND NOT EXISTS (SELECT FROM {schema}.paused AS p WHERE p.queue_name = wanted.queue_name)
             AND (r.key IS NULL OR NOT {schema}.key_runs(r.key))
           ORDER BY r.available_at
           LIMIT %(limit)s
             FOR UPDATE SKIP LOCKED
        ) AS innocent
     ) AS ready
    WHERE EXISTS (SELECT FROM {schema}.worker AS w WHERE w.worker_id = %(worker_id)s AND w.dead_at IS NULL)
    LIMIT %(limit)s))
RETURNING q.message_id::text, q.queue_name, q.message::text, q.errors, q.crashes,
          coalesce(q.expires_at <= now(), false), extract(epoch FROM now() - q.available_at)::float8,
          q.key IS NOT NULL, q.turn, extract(epoch FROM q.available_at)::float8

-- name: begin_suspect
-- I3: written before a job starts that was there when a worker died: if this one dies too, it is charged.
UPDATE {schema}.queue SET begun = true
 WHERE message_id = %(message_id)s AND worker_id = %(worker_id)s AND claim_no = %(claim_no)s
RETURNING message_id::text

-- name: serve
-- How far the turns of a queue have come; a newcomer begins there. Losing it in a server crash costs nobody a job.
SET LOCAL synchronous_commit TO off;
INSERT INTO {schema}.share AS s (queue_name, served)
SELECT queue_name, served FROM unnest(%(queues)s::text[], %(turns)s::bigint[]) AS now_at (queue_name, served)
 ORDER BY queue_name
ON CONFLICT (queue_name) DO UPDATE SET served = EXCLUDED.served WHERE s.served < EXCLUDED.served
