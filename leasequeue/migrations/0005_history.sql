-- What became of the earlier runs of a job that was completed in the end: also of those before it was redriven.

-- As in `queue`: [{started, ended, worker, outcome, error}], newest last, at most 50. Null where all went well at once.
ALTER TABLE done ADD COLUMN attempts jsonb;
