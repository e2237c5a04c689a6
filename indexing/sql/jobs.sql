-- name: add_repository
-- The same URL again is the same repository, also when two callers add it at the same moment. One that is known is read
-- only: no row version for each order, and no wait for whoever publishes a commit of it.
WITH known AS (SELECT id FROM indexing.repositories WHERE url = %(url)s),
     added AS (INSERT INTO indexing.repositories (url, name)
               SELECT %(url)s, %(name)s WHERE NOT EXISTS (SELECT FROM known)
                   ON CONFLICT (url) DO UPDATE SET url = excluded.url
               RETURNING id)
SELECT id::text FROM known UNION ALL SELECT id::text FROM added;

-- name: get_repository
SELECT id::text, name, url FROM indexing.repositories WHERE id = %(repository_id)s;

-- name: add_job
INSERT INTO indexing.index_jobs (id, repository_id, commit_sha, message_id)
VALUES (coalesce(%(job_id)s::uuid, gen_random_uuid()), %(repository_id)s, %(commit_sha)s, %(message_id)s)
RETURNING id::text;

-- name: take_over
-- The others of its repository that are not over and were asked for before it, or whose message it has taken: it stands
-- for them.
UPDATE indexing.index_jobs AS j
   SET status = 'merged', merged_into = me.id, rest_seconds = NULL, updated_at = now(), finished_at = now()
  FROM indexing.index_jobs AS me
 WHERE me.id = %(job_id)s AND j.repository_id = me.repository_id AND j.id <> me.id
   AND j.status IN ('pending', 'processing')
   AND CASE WHEN %(only_of_message)s THEN j.message_id = me.message_id AND j.status = 'pending'
            ELSE j.created_at <= me.created_at OR j.message_id = me.message_id END;

-- name: set_message
UPDATE indexing.index_jobs SET message_id = %(message_id)s WHERE id = %(job_id)s;

-- name: mark_processing
-- From any state: an operator who sends a finished job again wants it run again.
UPDATE indexing.index_jobs
   SET status = 'processing', phase = 'resolve', files_total = NULL, files_done = 0, symbols = 0, stats = NULL,
       bytes_done = 0, rest_seconds = NULL,
       resolved_sha = NULL, retry_count = %(retry_count)s, started_at = now(), updated_at = now(), finished_at = NULL,
       merged_into = NULL
 WHERE id = %(job_id)s;

-- name: report_progress
-- A late report changes nothing once the job has ended.
UPDATE indexing.index_jobs
   SET phase = %(phase)s, files_total = %(files_total)s, files_done = %(files_done)s, symbols = %(symbols)s,
       bytes_done = %(bytes_done)s, rest_seconds = %(rest_seconds)s, updated_at = now()
 WHERE id = %(job_id)s AND status = 'processing';

-- name: mark_completed
UPDATE indexing.index_jobs
   SET status = 'completed', phase = 'publish', resolved_sha = %(resolved_sha)s, files_total = %(files_total)s,
       files_done = %(files_total)s, symbols = %(symbols)s, stats = %(stats)s, error = NULL, rest_seconds = NULL,
       updated_at = now(), finished_at = now()
 WHERE id = %(job_id)s AND status = 'processing';

-- name: mark_failed
-- A completed job stays completed: the failure is that of a run which came too late.
UPDATE indexing.index_jobs
   SET status = CASE WHEN %(final)s THEN 'failed' ELSE 'pending' END, error = %(error)s, rest_seconds = NULL,
       retry_count = %(retry_count)s, updated_at = now(), finished_at = CASE WHEN %(final)s THEN now() END
 WHERE id = %(job_id)s AND status IN ('pending', 'processing');

-- name: get_job
SELECT j.id::text, j.repository_id::text, r.name, r.url, j.commit_sha, j.resolved_sha, j.status, j.phase,
       j.files_total, j.files_done, j.symbols, j.stats, j.error, j.retry_count, j.message_id::text,
       j.created_at, j.started_at, j.updated_at, j.finished_at, j.bytes_done, j.rest_seconds,
       j.merged_into::text
  FROM indexing.index_jobs AS j
  JOIN indexing.repositories AS r ON r.id = j.repository_id
 WHERE j.id = %(job_id)s;

-- name: progress_of
SELECT j.id::text, r.name, j.phase, j.files_done, j.files_total, j.bytes_done, j.rest_seconds
  FROM indexing.index_jobs AS j JOIN indexing.repositories AS r ON r.id = j.repository_id
 WHERE j.id = ANY (%(job_ids)s::uuid[]);

-- name: latest_jobs
SELECT j.id::text, j.repository_id::text, r.name, r.url, j.commit_sha, j.resolved_sha, j.status, j.phase,
       j.files_total, j.files_done, j.symbols, j.stats, j.error, j.retry_count, j.message_id::text,
       j.created_at, j.started_at, j.updated_at, j.finished_at, j.bytes_done, j.rest_seconds,
       j.merged_into::text
  FROM indexing.index_jobs AS j
  JOIN indexing.repositories AS r ON r.id = j.repository_id
 ORDER BY j.created_at DESC, j.id
 LIMIT %(limit)s;
