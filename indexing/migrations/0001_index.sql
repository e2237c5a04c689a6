-- Repositories, the jobs that index them, and what was found. Names are unqualified: the runner (or
-- PGOPTIONS='-c search_path=indexing' psql -f) says which schema.
--
-- Table map
--   repositories   what can be indexed; url is a local path or a file, https or ssh URL, never with a secret in it
--   index_jobs     one row a request to index; the caller's view of a job, written by whoever runs it
--   blobs          what one file content is in one language: parsed once, shared by all commits and repositories
--   symbols        what a blob defines
--   commits        one row an indexed commit of a repository; readers see it once published_at is set
--   commit_files   what a commit contains: a path and its blob, or the reason why it was skipped
--
-- Life of an index_jobs row
--   pending     --mark_processing-->  processing
--   processing  --mark_completed-->   completed
--   processing  --mark_failed-->      pending (will be tried again, the error is kept) or failed (final)
--
-- Life of a commits row
--   written without published_at, then its commit_files in batches, each batch a transaction of its own; one last
--   transaction sets published_at, points the repository to it and removes the row it replaces. A run that died leaves
--   a row without published_at behind: nobody reads it, and a later run removes it when touched_at is old.
--
-- Lock order of every writer: blobs by (oid, language) in one statement a transaction, symbols, commits by id,
-- repositories. Two jobs that share blobs meet in the same order and cannot deadlock.

CREATE TABLE repositories (
  id                uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  name              text NOT NULL,
  url               text NOT NULL,
  current_commit_id bigint,                                    -- the commit published last; null: none yet
  created_at        timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT repositories_url_key UNIQUE (url),
  CONSTRAINT repositories_url_is_not_empty CHECK (url <> '')
);

CREATE TABLE index_jobs (
  id            uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  repository_id uuid NOT NULL REFERENCES repositories ON DELETE CASCADE,
  commit_sha    text,                                          -- as requested: id, branch or tag; null: the head
  resolved_sha  text,                                          -- the full id it stood for
  status        text NOT NULL DEFAULT 'pending',
  phase         text,                                          -- resolve, fetch, list, parse, store, publish
  files_total   integer,                                       -- null until the commit was listed
  files_done    integer NOT NULL DEFAULT 0,
  symbols       integer NOT NULL DEFAULT 0,
  stats         jsonb,                                         -- the report of a completed job
  error         text,                                          -- of the last failed try
  retry_count   integer NOT NULL DEFAULT 0,
  message_id    uuid,                                          -- the queue's name for it, when it was queued
  created_at    timestamptz NOT NULL DEFAULT now(),
  started_at    timestamptz,                                   -- of the last try
  updated_at    timestamptz NOT NULL DEFAULT now(),
  finished_at   timestamptz,
  CONSTRAINT index_jobs_status_is_known CHECK (status IN ('pending', 'processing', 'completed', 'failed')),
  CONSTRAINT index_jobs_end_has_a_time CHECK ((finished_at IS NOT NULL) = (status IN ('completed', 'failed'))),
  CONSTRAINT index_jobs_failure_has_an_error CHECK (status <> 'failed' OR error IS NOT NULL),
  CONSTRAINT index_jobs_counts_are_counts CHECK (files_total >= 0 AND files_done >= 0 AND symbols >= 0 AND retry_count >= 0)
);
-- Serves: the newest jobs, for status commands and pages.
CREATE INDEX index_jobs_by_age ON index_jobs (created_at DESC, id);
-- Serves: the foreign key, when a repository is removed.
CREATE INDEX index_jobs_by_repository ON index_jobs (repository_id);

CREATE TABLE blobs (
  id                bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  oid               bytea NOT NULL,                            -- git's object id: 20 bytes, or 32 in SHA-256 repositories
  language          text NOT NULL,                             -- a row of indexing.languages; 'text' has no symbols
  extractor_version integer NOT NULL,                          -- of that language: a higher one reads the blob again
  lines             integer,                                   -- null when it is not text
  symbol_count      integer NOT NULL,
  skip_reason       text,                                      -- why it has no symbols: binary, parse_timeout, ...
  -- Serves: which of these blobs are known, and the conflict of two jobs that parsed the same one.
  CONSTRAINT blobs_content_key UNIQUE (oid, language, extractor_version),
  CONSTRAINT blobs_oid_is_an_object_id CHECK (octet_length(oid) IN (20, 32)),
  CONSTRAINT blobs_skipped_has_no_symbols CHECK (skip_reason IS NULL OR symbol_count = 0),
  CONSTRAINT blobs_counts_are_counts CHECK (lines >= 0 AND symbol_count >= 0)
);

CREATE TABLE symbols (
  blob_id    bigint NOT NULL REFERENCES blobs ON DELETE CASCADE,
  ordinal    integer NOT NULL,                                 -- from 0, in the order of the source
  name       text NOT NULL,
  kind       text NOT NULL,                                    -- function, method, class, ...: indexing.extract
  first_line integer NOT NULL,                                 -- from 1
  last_line  integer NOT NULL,                                 -- inclusive
  signature  text NOT NULL,                                    -- one line, without the body
  parent     text,                                             -- qualified name of what encloses it; null: the file
  -- Serves: the outline of a file in source order, and the foreign key.
  PRIMARY KEY (blob_id, ordinal),
  CONSTRAINT symbols_lines_are_a_range CHECK (first_line >= 1 AND last_line >= first_line)
);
-- Serves: symbols by exact name (= is in this operator class) and by prefix (LIKE 'abc%') in any locale.
CREATE INDEX symbols_by_name ON symbols (name text_pattern_ops);

CREATE TABLE commits (
  id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  repository_id uuid NOT NULL REFERENCES repositories ON DELETE CASCADE,
  sha           text NOT NULL,                                 -- full id, lower case hex
  extractors    text NOT NULL,                                 -- the versions it was read with, 'go:1 java:1 ...'
  stats         jsonb,                                         -- the report; null until published
  touched_at    timestamptz NOT NULL DEFAULT now(),            -- last write of the run that fills it
  published_at  timestamptz,                                   -- null: half an index, invisible
  CONSTRAINT commits_published_has_stats CHECK ((published_at IS NULL) = (stats IS NULL)),
  CONSTRAINT commits_sha_is_a_full_id CHECK (sha ~ '^([0-9a-f]{40}|[0-9a-f]{64})$')
);
-- Guards: a commit of a repository is published once. Serves: is it indexed already.
CREATE UNIQUE INDEX commits_published_once ON commits (repository_id, sha) WHERE published_at IS NOT NULL;
-- Serves: finding what dead runs left behind; holds running and dead runs only.
CREATE INDEX commits_unpublished ON commits (touched_at) WHERE published_at IS NULL;
-- Serves: the foreign key, when a repository is removed.
CREATE INDEX commits_by_repository ON commits (repository_id);

ALTER TABLE repositories
  ADD CONSTRAINT repositories_current_commit_fkey FOREIGN KEY (current_commit_id) REFERENCES commits ON DELETE SET NULL;
-- Serves: that foreign key, whenever a commit is removed.
CREATE INDEX repositories_by_current_commit ON repositories (current_commit_id);

CREATE TABLE commit_files (
  commit_id   bigint NOT NULL REFERENCES commits ON DELETE CASCADE,
  position    integer NOT NULL,                                -- from 0, in git's tree order
  path        text NOT NULL,                                   -- as indexing.paths writes it: any bytes, reversible
  oid         bytea NOT NULL,                                  -- of the blob, or of the submodule's commit
  size_bytes  bigint,                                          -- null: a submodule, or an object that is missing
  language    text,                                            -- null when skipped before it was looked at
  blob_id     bigint REFERENCES blobs,
  skip_reason text,                                            -- submodule, symlink, too_large, missing, ...
  PRIMARY KEY (commit_id, position),
  -- Guards: a file has been read, or it says why not.
  CONSTRAINT commit_files_read_or_skipped CHECK ((blob_id IS NULL) = (skip_reason IS NOT NULL))
);
-- Serves: from a symbol's blob to the files of one commit, and the foreign key.
CREATE INDEX commit_files_by_blob ON commit_files (blob_id, commit_id) WHERE blob_id IS NOT NULL;

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
  JOIN commit_files AS f ON f.commit_id = c.id
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
  JOIN commit_files AS f ON f.blob_id = s.blob_id
  JOIN commits AS c ON c.id = f.commit_id AND c.published_at IS NOT NULL
  JOIN repositories AS r ON r.id = c.repository_id;
