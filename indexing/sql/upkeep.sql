-- name: abandoned_listings
-- What dead runs left, and what lost its last commit.
SELECT id FROM indexing.listings
 WHERE NOT has_commits AND touched_at < now() - make_interval(secs => %(abandoned_seconds)s)
 ORDER BY touched_at
 LIMIT %(limit)s;

-- name: remove_files
-- A batch of a listing that has no commits, and that nobody else is removing. Returns the contents it referred to.
DELETE FROM indexing.listing_files
 WHERE listing_id = %(listing_id)s
   AND (path, first_step) IN (SELECT f.path, f.first_step
                                FROM indexing.listing_files AS f
                                JOIN indexing.listings AS l ON l.id = f.listing_id AND NOT l.has_commits
                               WHERE f.listing_id = %(listing_id)s
                               ORDER BY f.path, f.first_step
                               LIMIT %(limit)s
                                 FOR UPDATE OF f SKIP LOCKED)
RETURNING blob_id;

-- name: remove_listing
-- When nothing of it is left.
DELETE FROM indexing.listings AS l
 WHERE l.id = %(listing_id)s AND NOT l.has_commits
   AND NOT EXISTS (SELECT FROM indexing.listing_files WHERE listing_id = l.id);

-- name: surplus_commits
-- Commits behind the newest so many of a repository, without the current one.
SELECT c.id, c.listing_id
  FROM indexing.commits AS c
  JOIN indexing.repositories AS r ON r.id = c.repository_id
 WHERE c.repository_id = %(repository_id)s AND c.id IS DISTINCT FROM r.current_commit_id
 ORDER BY c.published_at DESC, c.id DESC
OFFSET %(keep)s;

-- name: remove_commits
DELETE FROM indexing.commits WHERE id = ANY(%(ids)s);

-- name: remove_all_commits
DELETE FROM indexing.commits WHERE repository_id = %(repository_id)s;

-- name: release_listings
-- As release_listing, for all of a repository.
UPDATE indexing.listings AS l SET has_commits = false, touched_at = '-infinity'
 WHERE l.repository_id = %(repository_id)s AND (l.has_commits OR l.touched_at > '-infinity')
   AND NOT EXISTS (SELECT FROM indexing.commits WHERE listing_id = l.id);

-- name: page_of_spans
-- The end of the next page of a listing.
SELECT path, first_step
  FROM (SELECT path, first_step FROM indexing.listing_files
         WHERE listing_id = %(listing_id)s AND (path, first_step) > (%(path)s, %(step)s)
         ORDER BY path, first_step
         LIMIT %(limit)s) AS page
 ORDER BY path DESC, first_step DESC
 LIMIT 1;

-- name: sweep_spans
-- Of a page, what is in no commit any more. Whoever writes to the listing holds the repository, and so do we.
DELETE FROM indexing.listing_files AS f
 WHERE f.listing_id = %(listing_id)s
   AND (f.path, f.first_step) > (%(path)s, %(step)s) AND (f.path, f.first_step) <= (%(to_path)s, %(to_step)s)
   AND NOT EXISTS (SELECT FROM indexing.commits AS c
                    WHERE c.listing_id = f.listing_id AND c.step BETWEEN f.first_step AND f.last_step)
RETURNING blob_id;

-- name: hold_unused_blobs
-- Those of some contents that no commit refers to, and that are old enough: what a stopped job has parsed is kept for
-- its next run. A job that just stores a file of one of them is not waited for.
SELECT b.id FROM indexing.blobs AS b
 WHERE b.id = ANY(%(ids)s) AND b.created_at <= now() - make_interval(secs => %(kept_seconds)s)
   AND NOT EXISTS (SELECT FROM indexing.listing_files AS f WHERE f.blob_id = b.id)
 ORDER BY b.id
   FOR UPDATE SKIP LOCKED;

-- name: remove_unused_blobs
-- Asked again, now that nobody can refer to them any more: somebody may have, between the question and the lock.
DELETE FROM indexing.blobs AS b
 WHERE b.id = ANY(%(ids)s) AND NOT EXISTS (SELECT FROM indexing.listing_files AS f WHERE f.blob_id = b.id);

-- name: page_of_blobs
SELECT id FROM indexing.blobs WHERE id > %(after)s ORDER BY id LIMIT %(limit)s;

-- name: remove_jobs
-- A batch of a repository's jobs.
DELETE FROM indexing.index_jobs
 WHERE id IN (SELECT id FROM indexing.index_jobs WHERE repository_id = %(repository_id)s LIMIT %(limit)s);

-- name: remove_repository
DELETE FROM indexing.repositories WHERE id = %(repository_id)s;

-- name: listings_of
SELECT id FROM indexing.listings WHERE repository_id = %(repository_id)s AND NOT has_commits ORDER BY id;

-- name: hold_collecting
-- Where to go on, when it is time to and no other job is at it.
SELECT up_to FROM indexing.collecting
 WHERE at < now() - make_interval(secs => %(pause_seconds)s)
   FOR UPDATE SKIP LOCKED;

-- name: collected
UPDATE indexing.collecting SET up_to = %(up_to)s, at = now();
