-- The function job() calls the states of a job as everything else here does that tells people of them: what could be started
-- now is `ready`; it used to be called `waiting`, which is what ready and scheduled jobs have in common.

SELECT set_config('search_path', format('%I, pg_temp', current_schema()), true);

-- What became of a job, for whoever has its id: no row when it never was, or is no longer kept.
-- state: scheduled, ready, running, completed, dead, or merged (then merged_into is the job to ask for).
CREATE OR REPLACE FUNCTION job(id uuid)
RETURNS TABLE (state text, queue text, actor text, enqueued_at timestamptz, due_at timestamptz, since timestamptz,
               errors integer, crashes integer, reason text, error text, result jsonb, merged_into uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT AS $$
  SELECT CASE q.state WHEN 'queued' THEN CASE WHEN q.available_at > now() THEN 'scheduled' ELSE 'ready' END
                      WHEN 'consumed' THEN 'running' ELSE 'dead' END,
         q.queue_name, q.message ->> 'actor_name', q.enqueued_at, q.available_at, q.mtime, q.errors, q.crashes,
         q.reason, split_part(q.error, E'\n', 1), NULL, NULL
    FROM queue AS q WHERE q.message_id = id
  UNION ALL
  SELECT CASE WHEN d.merged_into IS NULL THEN 'completed' ELSE 'merged' END, d.queue_name, d.message ->> 'actor_name',
         d.enqueued_at, NULL, d.finished_at, d.errors, d.crashes, NULL, NULL,
         CASE WHEN d.result_ttl > now() THEN d.result END, d.merged_into
    FROM done AS d WHERE d.message_id = id
$$;
