-- How far a job is, in bytes, and how long it will be at it.

ALTER TABLE index_jobs
  ADD COLUMN bytes_done bigint NOT NULL DEFAULT 0,             -- of the contents that this phase has read
  ADD COLUMN rest_seconds integer,                             -- until the end of this phase, as it looks; null: unknown
  ADD CONSTRAINT index_jobs_more_counts_are_counts CHECK (bytes_done >= 0 AND rest_seconds >= 0);
