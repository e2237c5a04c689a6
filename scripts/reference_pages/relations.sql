-- Tables and views of a schema: name, kind, columns (name, type, default), constraints, indexes. Tables come first.
SELECT c.relname, c.relkind::text,
       ARRAY(SELECT ARRAY[a.attname::text,
                          format_type(a.atttypid, a.atttypmod) || CASE WHEN a.attnotnull AND c.relkind <> 'v'
                                                                       THEN ' NOT NULL' ELSE '' END,
                          CASE a.attidentity WHEN '' THEN pg_get_expr(d.adbin, d.adrelid) ELSE 'identity' END]
               FROM pg_attribute AS a LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
              WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum),
       ARRAY(SELECT ARRAY[k.conname::text, pg_get_constraintdef(k.oid)]
               FROM pg_constraint AS k WHERE k.conrelid = c.oid AND k.contype IN ('c', 'f') ORDER BY k.conname),
       ARRAY(SELECT ARRAY[i.relname::text, regexp_replace(pg_get_indexdef(i.oid), '^.* USING (btree )?', '')]
               FROM pg_index AS x JOIN pg_class AS i ON i.oid = x.indexrelid
              WHERE x.indrelid = c.oid ORDER BY i.relname)
  FROM pg_class AS c
 WHERE c.relnamespace = %(schema)s::regnamespace AND c.relkind IN ('r', 'p', 'v')
   AND NOT c.relispartition
 ORDER BY c.relkind = 'v', c.relname;
