-- One waiting and one running job a repository: a job that another one stands for.
--
-- Life of an index_jobs row, continued
--   pending, processing --take_over--> merged   a newer job of the repository took its place; merged_into names it

ALTER TABLE index_jobs
  ADD COLUMN merged_into uuid REFERENCES index_jobs ON DELETE SET NULL,
  DROP CONSTRAINT index_jobs_status_is_known,
  DROP CONSTRAINT index_jobs_end_has_a_time,
  ADD CONSTRAINT index_jobs_status_is_known
    CHECK (status IN ('pending', 'processing', 'completed', 'failed', 'merged')),
  ADD CONSTRAINT index_jobs_end_has_a_time
    CHECK ((finished_at IS NOT NULL) = (status IN ('completed', 'failed', 'merged')));
-- Serves: which jobs of a repository are not over, when one begins; the foreign key.
CREATE INDEX index_jobs_unfinished ON index_jobs (repository_id, created_at) WHERE status IN ('pending', 'processing');
CREATE INDEX index_jobs_merged ON index_jobs (merged_into) WHERE merged_into IS NOT NULL;
