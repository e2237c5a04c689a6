-- name: known_blobs
-- What was parsed before, for whatever commit or repository.
SELECT wanted.oid, wanted.language
  FROM unnest(%(oids)s::bytea[], %(languages)s::text[], %(versions)s::integer[]) AS wanted (oid, language, version)
  JOIN indexing.blobs AS b
    ON b.oid = wanted.oid AND b.language = wanted.language AND b.extractor_version = wanted.version;

-- name: stage_blobs
-- Gone with its transaction, so a transaction pooler may hand the connection to anybody afterwards.
CREATE TEMPORARY TABLE staged_blobs (
  oid bytea, language text, extractor_version integer, lines integer, symbol_count integer, skip_reason text
) ON COMMIT DROP;
CREATE TEMPORARY TABLE staged_symbols (
  oid bytea, language text, ordinal integer, name text, kind text, first_line integer, last_line integer,
  signature text, parent text
) ON COMMIT DROP;

-- name: copy_blobs
COPY pg_temp.staged_blobs (oid, language, extractor_version, lines, symbol_count, skip_reason) FROM STDIN;

-- name: copy_symbols
COPY pg_temp.staged_symbols (oid, language, ordinal, name, kind, first_line, last_line, signature, parent) FROM STDIN;

-- name: insert_blobs
-- Sorted, and the only statement of its transaction that takes these keys: jobs that share blobs wait for each other's
-- batch at most and never in a circle. Whoever comes second leaves the symbols of the first.
WITH fresh AS (
  INSERT INTO indexing.blobs (oid, language, extractor_version, lines, symbol_count, skip_reason)
  SELECT oid, language, extractor_version, lines, symbol_count, skip_reason
    FROM pg_temp.staged_blobs
   ORDER BY oid, language
      ON CONFLICT (oid, language, extractor_version) DO NOTHING
  RETURNING id, oid, language
)
INSERT INTO indexing.symbols (blob_id, ordinal, name, kind, first_line, last_line, signature, parent)
SELECT fresh.id, s.ordinal, s.name, s.kind, s.first_line, s.last_line, s.signature, s.parent
  FROM pg_temp.staged_symbols AS s
  JOIN fresh ON fresh.oid = s.oid AND fresh.language = s.language;

-- name: begin_commit
INSERT INTO indexing.commits (repository_id, sha, extractors)
VALUES (%(repository_id)s, %(sha)s, %(extractors)s)
RETURNING id;

-- name: stage_files
CREATE TEMPORARY TABLE staged_files (
  position integer, path text, oid bytea, size_bytes bigint, language text, extractor_version integer, skip_reason text
) ON COMMIT DROP;

-- name: copy_files
COPY pg_temp.staged_files (position, path, oid, size_bytes, language, extractor_version, skip_reason) FROM STDIN;

-- name: touch_commit
-- Says that the run is alive; no row means that it was taken for dead and cleared away.
UPDATE indexing.commits SET touched_at = now() WHERE id = %(commit_id)s AND published_at IS NULL;

-- name: insert_files
INSERT INTO indexing.commit_files (commit_id, position, path, oid, size_bytes, language, blob_id, skip_reason)
SELECT %(commit_id)s, f.position, f.path, f.oid, f.size_bytes, f.language, b.id, f.skip_reason
  FROM pg_temp.staged_files AS f
  LEFT JOIN indexing.blobs AS b
    ON b.oid = f.oid AND b.language = f.language AND b.extractor_version = f.extractor_version;

-- name: count_files
-- By language and reason; a file skipped before it was looked at has no language.
SELECT f.language, coalesce(f.skip_reason, b.skip_reason), count(*), coalesce(sum(b.symbol_count), 0)::bigint
  FROM indexing.commit_files AS f
  LEFT JOIN indexing.blobs AS b ON b.id = f.blob_id
 WHERE f.commit_id = %(commit_id)s
 GROUP BY 1, 2
 ORDER BY 1, 2;

-- name: find_published
SELECT id, stats FROM indexing.commits
 WHERE repository_id = %(repository_id)s AND sha = %(sha)s AND extractors = %(extractors)s AND published_at IS NOT NULL;

-- name: lock_repository
-- Two runs for one repository publish one after the other.
SELECT id FROM indexing.repositories WHERE id = %(repository_id)s FOR NO KEY UPDATE;

-- name: remove_replaced
-- The same commit as an earlier run saw it; readers change over when this transaction commits.
DELETE FROM indexing.commits
 WHERE repository_id = %(repository_id)s AND sha = %(sha)s AND published_at IS NOT NULL AND id <> %(commit_id)s;

-- name: publish_commit
UPDATE indexing.commits SET published_at = now(), touched_at = now(), stats = %(stats)s
 WHERE id = %(commit_id)s AND published_at IS NULL;

-- name: publish_again
-- It was indexed before: it becomes the current one again.
UPDATE indexing.commits SET published_at = now() WHERE id = %(commit_id)s AND published_at IS NOT NULL;

-- name: set_current
UPDATE indexing.repositories SET current_commit_id = %(commit_id)s WHERE id = %(repository_id)s;

-- name: discard_commit
DELETE FROM indexing.commits WHERE id = %(commit_id)s AND published_at IS NULL;

-- name: discard_abandoned
-- A few at a time, and none that somebody else is removing: this runs at the start of every job.
DELETE FROM indexing.commits
 WHERE id IN (SELECT id FROM indexing.commits
               WHERE published_at IS NULL AND touched_at < now() - make_interval(secs => %(abandoned_seconds)s)
               ORDER BY touched_at LIMIT 5 FOR UPDATE SKIP LOCKED);
