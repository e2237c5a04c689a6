-- name: find_published
SELECT id, stats FROM indexing.commits
 WHERE repository_id = %(repository_id)s AND sha = %(sha)s AND extractors = %(reading)s AND published_at IS NOT NULL;

-- name: find_base
-- The newest commit of the repository's newest listing, when it was read as we would read it.
SELECT c.id, c.listing_id, c.step, c.sha, c.stats, c.cpp_sources
  FROM indexing.listings AS l
  JOIN indexing.commits AS c ON c.listing_id = l.id AND c.step = l.last_step AND c.extractors = %(reading)s
 WHERE l.repository_id = %(repository_id)s AND l.has_commits
 ORDER BY l.id DESC
 LIMIT 1;

-- name: lock_repository
-- Two runs for one repository publish one after the other.
SELECT id FROM indexing.repositories WHERE id = %(repository_id)s FOR NO KEY UPDATE;

-- name: begin_listing
INSERT INTO indexing.listings (repository_id) VALUES (%(repository_id)s) RETURNING id;

-- name: touch_listing
-- Says that the run is alive; no row means that it was taken for dead and cleared away.
UPDATE indexing.listings SET touched_at = now() WHERE id = %(listing_id)s AND NOT has_commits;

-- name: give_up_listing
-- The upkeep removes it, in batches: a run that is told to stop has no time for it.
UPDATE indexing.listings SET touched_at = '-infinity' WHERE id = %(listing_id)s AND NOT has_commits;

-- name: copy_files
COPY indexing.listing_files (listing_id, first_step, path, oid, size_bytes, language, module, blob_id, skip_reason)
  FROM STDIN;

-- name: advance_listing
-- No row when another run has gone on from the same base, or the base was removed.
UPDATE indexing.listings AS l SET last_step = %(step)s
  FROM indexing.commits AS c
 WHERE l.id = %(listing_id)s AND l.last_step = %(step)s - 1 AND c.id = %(base_id)s AND c.listing_id = l.id;

-- name: close_files
-- By language and reason, what is no longer there from this step on.
WITH closed AS (
  UPDATE indexing.listing_files SET last_step = %(step)s - 1
   WHERE listing_id = %(listing_id)s AND path = ANY(%(paths)s::text[]) AND last_step = 2147483647
  RETURNING language, skip_reason, blob_id
)
SELECT f.language, coalesce(f.skip_reason, b.skip_reason), count(*), coalesce(sum(b.symbol_count), 0)::bigint
  FROM closed AS f
  LEFT JOIN indexing.blobs AS b ON b.id = f.blob_id
 GROUP BY 1, 2
 ORDER BY 1, 2;

-- name: count_files
-- By language and reason, what a new listing contains; a file skipped before it was looked at has no language.
SELECT f.language, coalesce(f.skip_reason, b.skip_reason), count(*), coalesce(sum(b.symbol_count), 0)::bigint
  FROM indexing.listing_files AS f
  LEFT JOIN indexing.blobs AS b ON b.id = f.blob_id
 WHERE f.listing_id = %(listing_id)s
 GROUP BY 1, 2
 ORDER BY 1, 2;

-- name: count_changed
-- The same of what a step has added.
SELECT f.language, coalesce(f.skip_reason, b.skip_reason), count(*), coalesce(sum(b.symbol_count), 0)::bigint
  FROM indexing.listing_files AS f
  LEFT JOIN indexing.blobs AS b ON b.id = f.blob_id
 WHERE f.listing_id = %(listing_id)s AND f.path = ANY(%(paths)s::text[]) AND f.first_step = %(step)s
 GROUP BY 1, 2
 ORDER BY 1, 2;

-- name: remove_replaced
-- The same commit as an earlier run saw it; readers change over when this transaction commits.
DELETE FROM indexing.commits WHERE repository_id = %(repository_id)s AND sha = %(sha)s RETURNING listing_id;

-- name: release_listing
-- Nobody can see anything of a listing without commits: the upkeep removes it, in batches.
UPDATE indexing.listings SET has_commits = false, touched_at = '-infinity'
 WHERE id = %(listing_id)s AND has_commits
   AND NOT EXISTS (SELECT FROM indexing.commits WHERE listing_id = %(listing_id)s);

-- name: hold_listing
UPDATE indexing.listings SET has_commits = true WHERE id = %(listing_id)s AND NOT has_commits;

-- name: insert_commit
INSERT INTO indexing.commits (repository_id, sha, extractors, stats, published_at, listing_id, step, cpp_sources)
VALUES (%(repository_id)s, %(sha)s, %(reading)s, %(stats)s, now(), %(listing_id)s, %(step)s, %(cpp_sources)s)
RETURNING id;

-- name: publish_again
-- It was indexed before: it becomes the current one again.
UPDATE indexing.commits SET published_at = now() WHERE id = %(commit_id)s;

-- name: set_current
UPDATE indexing.repositories SET current_commit_id = %(commit_id)s WHERE id = %(repository_id)s;
