-- An index job in a transaction of psql's, and what became of it. Nothing but SQL: docs/api-developers.md.
--
--   psql "$DATABASE_URL" --quiet --tuples-only --no-align -v repository=https://example.org/team/project.git -f send.sql
--
-- Prints the id of a job that was rolled back, and whether it is known; then the id of one that was committed, and its state.
\set ON_ERROR_STOP on

SELECT gen_random_uuid() AS index_job_id \gset
BEGIN;
INSERT INTO indexing.repositories (url, name) VALUES (:'repository', 'demo')
  ON CONFLICT (url) DO UPDATE SET url = excluded.url RETURNING id AS repository_id \gset
INSERT INTO indexing.index_jobs (id, repository_id) VALUES (:'index_job_id', :'repository_id');
SELECT job_id FROM dramatiq.enqueue('index_repo', queue => 'index-repo', key => :'repository_id',
  kwargs => jsonb_build_object('index_job_id', :'index_job_id', 'repository_id', :'repository_id')) \gset
UPDATE indexing.index_jobs SET message_id = :'job_id' WHERE id = :'index_job_id';
ROLLBACK;
SELECT :'job_id', count(*) FROM dramatiq.job(:'job_id');

SELECT gen_random_uuid() AS index_job_id \gset
BEGIN;
INSERT INTO indexing.repositories (url, name) VALUES (:'repository', 'demo')
  ON CONFLICT (url) DO UPDATE SET url = excluded.url RETURNING id AS repository_id \gset
INSERT INTO indexing.index_jobs (id, repository_id) VALUES (:'index_job_id', :'repository_id');
SELECT job_id FROM dramatiq.enqueue('index_repo', queue => 'index-repo', key => :'repository_id',
  kwargs => jsonb_build_object('index_job_id', :'index_job_id', 'repository_id', :'repository_id')) \gset
UPDATE indexing.index_jobs SET message_id = :'job_id' WHERE id = :'index_job_id';
COMMIT;
SELECT :'job_id', state FROM dramatiq.job(:'job_id');
