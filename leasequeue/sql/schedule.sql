-- name: add_schedule
-- The same name again replaces it: from now on it is due by the new expression.
INSERT INTO {schema}.schedule AS s (name, cron, time_zone, queue_name, message, next_at)
VALUES (%(name)s, %(cron)s, %(time_zone)s, %(queue_name)s, %(message)s, %(next_at)s)
ON CONFLICT (name) DO UPDATE SET
  cron = EXCLUDED.cron, time_zone = EXCLUDED.time_zone, queue_name = EXCLUDED.queue_name, message = EXCLUDED.message,
  next_at = EXCLUDED.next_at
RETURNING s.created_at < now()

-- name: remove_schedule
DELETE FROM {schema}.schedule WHERE name = %(name)s RETURNING name

-- name: schedules
SELECT name, cron, time_zone, queue_name, message ->> 'actor_name', message -> 'args', message -> 'kwargs', next_at,
       last_at, last_id::text, created_at
  FROM {schema}.schedule ORDER BY name

-- name: due_schedules
SELECT name, cron, time_zone, next_at, now() FROM {schema}.schedule WHERE next_at <= now() ORDER BY next_at LIMIT 100

-- name: send_tick
-- Each tick once, whatever the number of workers: who moves next_at on sends the job, in the same statement, and only one
-- finds it where it was. Ticks that nobody sent in time are one job. With a key it is merged into one that waits.
WITH tick AS (
  UPDATE {schema}.schedule
     SET next_at = %(next_at)s, last_at = next_at, last_id = %(message_id)s
   WHERE name = %(name)s AND next_at = %(due_at)s AND next_at <= now()
  RETURNING queue_name,
            message #>> '{options,key}' IS NOT NULL OR message #>> '{options,fairness_key}' IS NOT NULL AS is_placed,
            message || jsonb_build_object('message_id', %(message_id)s::text,
                                          'message_timestamp', (extract(epoch FROM now()) * 1000)::bigint) AS message
), sent AS (
  INSERT INTO {schema}.queue (message_id, queue_name, state, message, expires_at)
  SELECT %(message_id)s, queue_name, 'queued', message, now() + %(expire_after)s * interval '1 second'
    FROM tick WHERE NOT is_placed
  ON CONFLICT (message_id) DO NOTHING
  RETURNING message_id::text, queue_name
)
SELECT message_id, queue_name FROM sent
UNION ALL
SELECT placed.job_id::text, tick.queue_name
  FROM tick
 CROSS JOIN LATERAL {schema}.place(%(message_id)s::uuid, tick.queue_name, tick.message, '0',
                                   %(expire_after)s * interval '1 second', 0, true) AS placed
 WHERE tick.is_placed
