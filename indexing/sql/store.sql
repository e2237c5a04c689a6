-- name: known_blobs
-- What was parsed before, for whatever commit or repository.
SELECT wanted.oid, wanted.language, b.id
  FROM unnest(string_to_array(%(oids)s, ' '), string_to_array(%(languages)s, ' '), %(versions)s::integer[])
       AS wanted (oid, language, version)
  JOIN indexing.blobs AS b
    ON b.oid = decode(wanted.oid, 'hex') AND b.language = wanted.language AND b.extractor_version = wanted.version;

-- name: insert_blobs
-- Sorted, and the only statement of its transaction that takes these keys: jobs that share blobs wait for each other's
-- batch at most and never in a circle. Only what this job was first with is returned: the symbols of the others are
-- stored by whoever stored them.
INSERT INTO indexing.blobs (oid, language, extractor_version, lines, symbol_count, skip_reason)
SELECT decode(oid, 'hex'), language, version, lines, symbol_count, skip_reason
  FROM unnest(string_to_array(%(oids)s, ' '), string_to_array(%(languages)s, ' '), %(versions)s::integer[],
              %(lines)s::integer[], %(symbol_counts)s::integer[], %(skip_reasons)s::text[])
       AS parsed (oid, language, version, lines, symbol_count, skip_reason)
 ORDER BY decode(oid, 'hex'), language
    ON CONFLICT (oid, language, extractor_version) DO NOTHING
RETURNING encode(oid, 'hex'), language, id;

-- name: copy_symbols
-- In the order of indexing.found.Symbol. In the encoding of the rows, whatever that of the connection is.
COPY indexing.symbols (blob_id, ordinal, name, kind, first_line, last_line, signature, parent, first_column, last_column,
                       first_byte, end_byte, doc, exported) FROM STDIN WITH (ENCODING 'UTF8');

-- name: copy_imports
-- In the order of indexing.found.Import.
COPY indexing.imports (blob_id, ordinal, line, target, module, up) FROM STDIN WITH (ENCODING 'UTF8');
