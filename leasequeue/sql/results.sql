-- name: get_result
-- A result is where its job is: done, or dead with the exception.
SELECT result::text FROM {schema}.done WHERE message_id = %(message_id)s AND result_ttl > now()
UNION ALL
SELECT result::text FROM {schema}.queue WHERE message_id = %(message_id)s AND state = 'rejected' AND result_ttl > now()

-- name: store_result
-- For results that do not belong to a run of ours: other middleware, or code outside of a worker.
INSERT INTO {schema}.done AS d (message_id, queue_name, result, result_ttl, enqueued_at, finished_at, starts, errors, crashes, keep_until)
VALUES (%(message_id)s, '__RQ__', %(result)s, now() + %(ttl)s * interval '1 second', now(), now(), 0, 0, 0,
        now() + %(ttl)s * interval '1 second')
ON CONFLICT (message_id) DO UPDATE SET result = EXCLUDED.result, result_ttl = EXCLUDED.result_ttl,
  keep_until = greatest(d.keep_until, EXCLUDED.keep_until)
