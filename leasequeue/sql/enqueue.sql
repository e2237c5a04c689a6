-- name: enqueue
-- I1: when this has answered, the job is on disk. The same id again replaces the job: whoever runs the old one has
-- lost it (I6), and the new one is run.
INSERT INTO {schema}.queue AS q
  (message_id, queue_name, state, mtime, message, available_at, enqueued_at, expires_at, errors)
VALUES (%(message_id)s, %(queue_name)s, 'queued', now(), %(message)s, now() + %(delay)s * interval '1 second', now(),
        now() + (%(delay)s + %(expire_after)s) * interval '1 second', %(errors)s)
ON CONFLICT (message_id) DO UPDATE SET
  queue_name = EXCLUDED.queue_name, state = 'queued', mtime = now(), message = EXCLUDED.message,
  available_at = EXCLUDED.available_at, expires_at = EXCLUDED.expires_at, errors = EXCLUDED.errors,
  worker_id = NULL, claim_no = NULL, crashes = 0, reason = NULL, error = NULL, result = NULL, result_ttl = NULL

-- name: enqueue_again
-- The connection broke after the statement was sent: it may have worked, and the job may be running or done by now.
INSERT INTO {schema}.queue
  (message_id, queue_name, state, mtime, message, available_at, enqueued_at, expires_at, errors)
SELECT %(message_id)s, %(queue_name)s, 'queued', now(), %(message)s, now() + %(delay)s * interval '1 second', now(),
       now() + (%(delay)s + %(expire_after)s) * interval '1 second', %(errors)s
 WHERE NOT EXISTS (SELECT FROM {schema}.done WHERE message_id = %(message_id)s)
ON CONFLICT (message_id) DO NOTHING

-- name: ring
-- I8: a doorbell, nothing more. In a transaction of its own, so that no commit waits for the notification lock.
SELECT pg_notify(%(channel)s, '')
