-- 1,000 jobs: 400 ready, 150 scheduled, 5 running, 95 dead of four causes, 350 done in the last hour.
INSERT INTO dramatiq.worker (worker_id, host, pid, threads, live_threads, queues, draining, started_at, claimed_at) VALUES
  ('11111111-1111-4111-8111-111111111111', 'indexer-1', 4711, 3, 3, '{index-repo}', false, now() - interval '3 d', now()),
  ('22222222-2222-4222-8222-222222222222', 'indexer-2', 4712, 3, 2, '{index-repo}', true, now() - interval '2 h', now());
INSERT INTO indexing.repositories (id, url, name)
SELECT ('77770000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid, 'https://git.example/team/' || name, name
  FROM unnest('{billing,search,webshop,design-system,a-repository-with-quite-a-long-name}'::text[]) WITH ORDINALITY AS r (name, n);
INSERT INTO indexing.index_jobs (id, repository_id, status, phase, files_total, files_done, started_at)
SELECT ('88880000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid, ('77770000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid,
       'processing', CASE WHEN n = 5 THEN 'fetch' ELSE 'parse' END, CASE WHEN n < 5 THEN n * 1200 END, n * 300, now()
  FROM generate_series(1, 5) AS n;
INSERT INTO dramatiq.queue (message_id, queue_name, state, message, available_at)
SELECT gen_random_uuid(), CASE WHEN n % 4 = 0 THEN 'mail' ELSE 'index-repo' END, 'queued', '{}',
       now() + CASE WHEN n <= 400 THEN -n ELSE 60 * n END * interval '1 s'
  FROM generate_series(1, 550) AS n;
INSERT INTO dramatiq.queue (message_id, queue_name, state, message, worker_id, claim_no, mtime)
SELECT gen_random_uuid(), 'index-repo', 'consumed', jsonb_build_object('actor_name', 'index_repo', 'args', '[]'::jsonb,
         'kwargs', jsonb_build_object('index_job_id', '88880000-0000-4000-8000-' || lpad(n::text, 12, '0'))),
       CASE WHEN n % 2 = 0 THEN '22222222-2222-4222-8222-222222222222' ELSE '11111111-1111-4111-8111-111111111111' END::uuid,
       n, now() - n * interval '97 s'
  FROM generate_series(1, 5) AS n;
INSERT INTO dramatiq.queue (message_id, queue_name, state, message, reason, error, mtime)
SELECT gen_random_uuid(), 'index-repo', 'rejected', '{}', cause.reason, cause.error, now() - n * interval '31 s'
  FROM (VALUES ('retries_exhausted', 'GitFailed: git fetch: exit code 128: fatal: unable to access the repository', 60),
               ('permanent', '<script>document.title=''hacked''</script> could not be parsed', 25), ('crashed', 'crashed 3 times: its worker (pid 812 on indexer-1) died', 7),
               ('expired', NULL, 3)) AS cause (reason, error, count), generate_series(1, cause.count) AS n;
INSERT INTO dramatiq.done (message_id, queue_name, message, enqueued_at, finished_at, starts, errors, crashes, keep_until)
SELECT gen_random_uuid(), 'index-repo', '{}', now(), now() - (n * 10 + 40 * sin(n / 9.0)) * interval '1 s', 1, 0, 0, now()
  FROM generate_series(5, 354) AS n;
