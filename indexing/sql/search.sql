-- name: find_symbols
-- From the name to its blobs to the current commit of each repository.
SELECT r.name, r.url, c.sha, f.path, f.language, s.name, s.kind, s.first_line, s.last_line, s.signature, s.parent
  FROM indexing.symbols AS s
  JOIN indexing.listing_files AS f ON f.blob_id = s.blob_id
  JOIN indexing.commits AS c ON c.listing_id = f.listing_id AND c.step BETWEEN f.first_step AND f.last_step
  JOIN indexing.repositories AS r ON r.current_commit_id = c.id
 WHERE s.name = %(name)s
   AND (%(kind)s::text IS NULL OR s.kind = %(kind)s)
   AND (%(language)s::text IS NULL OR f.language = %(language)s)
   AND (%(path)s::text IS NULL OR f.path = %(path)s OR f.path LIKE %(path_prefix)s)
   AND (%(repository)s::text IS NULL OR %(repository)s IN (r.name, r.url, r.id::text))
 ORDER BY r.name, r.id, f.path, s.ordinal
 LIMIT %(limit)s;

-- name: find_symbols_by_prefix
SELECT r.name, r.url, c.sha, f.path, f.language, s.name, s.kind, s.first_line, s.last_line, s.signature, s.parent
  FROM indexing.symbols AS s
  JOIN indexing.listing_files AS f ON f.blob_id = s.blob_id
  JOIN indexing.commits AS c ON c.listing_id = f.listing_id AND c.step BETWEEN f.first_step AND f.last_step
  JOIN indexing.repositories AS r ON r.current_commit_id = c.id
 WHERE s.name LIKE %(pattern)s
   AND (%(kind)s::text IS NULL OR s.kind = %(kind)s)
   AND (%(language)s::text IS NULL OR f.language = %(language)s)
   AND (%(path)s::text IS NULL OR f.path = %(path)s OR f.path LIKE %(path_prefix)s)
   AND (%(repository)s::text IS NULL OR %(repository)s IN (r.name, r.url, r.id::text))
 ORDER BY s.name, r.name, r.id, f.path, s.ordinal
 LIMIT %(limit)s;
