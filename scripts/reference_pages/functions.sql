-- Functions of a schema but for those of extensions: name, arguments, result.
SELECT p.proname, pg_get_function_arguments(p.oid), pg_get_function_result(p.oid)
  FROM pg_proc AS p
 WHERE p.pronamespace = %(schema)s::regnamespace AND p.prokind = 'f'
   AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.objid = p.oid AND d.deptype = 'e')
 ORDER BY p.proname;
