-- A commit costs what it changes: the paths of a repository's commits are kept as one list with a span of steps for
-- each entry, instead of one list a commit. 20,000 rows a commit took half a second and made every search slower.
--
-- Table map, in the place of commits and commit_files in 0001
--   listings       lists of paths; a repository starts a new one when it is read in another way, or differs too much
--   commits        one row a published commit: a step of a listing
--   listing_files  a path and its blob, or why it was skipped; in the commit at step n when n is within its span
--
-- Life of a listing
--   filled at step 0 in batches, each a transaction of its own; one last transaction writes its first commits row and
--   points the repository to it. Each later commit is one transaction: close the spans of what it changed, add what is
--   new, write its commits row. A run that died leaves a listing without commits: nobody reads it, and the upkeep
--   removes it when touched_at is old.
--
-- Lock order of every writer: repositories, listings, commits, listing_files by path. Blobs are stored in transactions
-- of their own: blobs by (oid, language) in one statement, then what belongs to them. Two jobs that share blobs meet in the
-- same order, two jobs of one repository meet at its row, and neither pair can deadlock.

CREATE TABLE listings (
  id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  repository_id uuid NOT NULL REFERENCES repositories ON DELETE CASCADE,
  last_step     integer NOT NULL DEFAULT 0,                    -- of the newest commit in it
  has_commits   boolean NOT NULL DEFAULT false,                -- false: being filled, or to be removed
  touched_at    timestamptz NOT NULL DEFAULT now(),            -- last write of the run that fills it
  CONSTRAINT listings_steps_count_from_0 CHECK (last_step >= 0)
);
-- Serves: the newest listing of a repository, and the foreign key.
CREATE INDEX listings_by_repository ON listings (repository_id, id);
-- Serves: finding what dead runs left behind, and what lost its last commit.
CREATE INDEX listings_without_commits ON listings (touched_at) WHERE NOT has_commits;

-- What dead runs left; a run that is alive starts again when it finds its commit gone.
DELETE FROM commits WHERE published_at IS NULL;

-- Each commit so far has a listing of its own; one number names both.
INSERT INTO listings (id, repository_id, has_commits) OVERRIDING SYSTEM VALUE
SELECT id, repository_id, true FROM commits;
SELECT setval(pg_get_serial_sequence('listings', 'id'), max(id)) FROM listings HAVING max(id) IS NOT NULL;

ALTER TABLE commits
  ADD COLUMN listing_id bigint,
  ADD COLUMN step integer NOT NULL DEFAULT 0,
  ADD COLUMN cpp_sources integer NOT NULL DEFAULT 0;           -- files that make .h C++
UPDATE commits SET listing_id = id;
ALTER TABLE commits
  ALTER COLUMN listing_id SET NOT NULL,
  ALTER COLUMN step DROP DEFAULT,
  ALTER COLUMN cpp_sources DROP DEFAULT,
  ADD CONSTRAINT commits_listing_fkey FOREIGN KEY (listing_id) REFERENCES listings ON DELETE CASCADE,
  -- Guards: one commit a step. Serves: the base of the next commit, and what the upkeep may remove.
  ADD CONSTRAINT commits_step_key UNIQUE (listing_id, step),
  ADD CONSTRAINT commits_are_published CHECK (published_at IS NOT NULL);
DROP INDEX commits_unpublished;

DROP VIEW symbols_at_commit;
DROP VIEW files;

ALTER TABLE commit_files RENAME TO listing_files;
ALTER TABLE listing_files RENAME COLUMN commit_id TO listing_id;
-- A path is a key now, and an index row takes 2,700 bytes.
UPDATE listing_files
   SET path = left(path, 400) || '~' || md5(path || position), blob_id = NULL, skip_reason = 'path_too_long'
 WHERE octet_length(path) > 2000 OR skip_reason = 'path_too_long';
ALTER TABLE listing_files
  DROP CONSTRAINT commit_files_commit_id_fkey,
  DROP CONSTRAINT commit_files_pkey,
  DROP COLUMN position,
  ALTER COLUMN path TYPE text COLLATE "C",                     -- in the order of git's trees
  ADD COLUMN first_step integer NOT NULL DEFAULT 0,
  ADD COLUMN last_step integer NOT NULL DEFAULT 2147483647;    -- the default: until further notice
ALTER TABLE listing_files RENAME CONSTRAINT commit_files_read_or_skipped TO listing_files_read_or_skipped;
ALTER TABLE listing_files RENAME CONSTRAINT commit_files_blob_id_fkey TO listing_files_blob_id_fkey;
ALTER TABLE listing_files
  ADD CONSTRAINT listing_files_listing_fkey FOREIGN KEY (listing_id) REFERENCES listings ON DELETE CASCADE,
  -- Guards: a path is one file at a time. Serves: closing spans, files and directories by path.
  ADD CONSTRAINT listing_files_pkey PRIMARY KEY (listing_id, path, first_step),
  ADD CONSTRAINT listing_files_span_is_a_range CHECK (0 <= first_step AND first_step <= last_step),
  ADD CONSTRAINT listing_files_path_fits_an_index CHECK (octet_length(path) <= 2000);
DROP INDEX commit_files_by_blob;
-- Serves: from a symbol's blob to the files of one commit, and the foreign key.
CREATE INDEX listing_files_by_blob ON listing_files (blob_id, listing_id) WHERE blob_id IS NOT NULL;
-- Room for closing a span beside itself: no index has last_step.
ALTER TABLE listing_files SET (fillfactor = 90);

-- What was parsed and is in no commit yet is kept for a while, so that a stopped job continues.
ALTER TABLE blobs ADD COLUMN created_at timestamptz NOT NULL DEFAULT now();

-- What readers should use: whole, published commits only.

CREATE VIEW files AS
SELECT c.repository_id,
       c.id AS commit_id,
       c.sha AS commit_sha,
       c.id = r.current_commit_id AS is_current,
       f.path,
       encode(f.oid, 'hex') AS blob_sha,
       f.size_bytes,
       f.language,
       b.lines,
       coalesce(b.symbol_count, 0) AS symbol_count,
       coalesce(f.skip_reason, b.skip_reason) AS skip_reason
  FROM commits AS c
  JOIN repositories AS r ON r.id = c.repository_id
  JOIN listing_files AS f ON f.listing_id = c.listing_id AND c.step BETWEEN f.first_step AND f.last_step
  LEFT JOIN blobs AS b ON b.id = f.blob_id
 WHERE c.published_at IS NOT NULL;

CREATE VIEW symbols_at_commit AS
SELECT c.repository_id,
       r.name AS repository,
       r.url AS repository_url,
       c.id AS commit_id,
       c.sha AS commit_sha,
       c.id = r.current_commit_id AS is_current,
       f.path,
       f.language,
       s.ordinal,
       s.name,
       s.kind,
       s.first_line,
       s.last_line,
       s.signature,
       s.parent
  FROM symbols AS s
  JOIN listing_files AS f ON f.blob_id = s.blob_id
  JOIN commits AS c ON c.listing_id = f.listing_id AND c.step BETWEEN f.first_step AND f.last_step
  JOIN repositories AS r ON r.id = c.repository_id;
