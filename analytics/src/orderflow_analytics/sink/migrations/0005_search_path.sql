-- What runs with its owner's rights finds tables in this schema alone. Without pg_temp at the end a temporary table of who
-- calls it came first, and a trigger on that ran with the owner's rights.
DO $$ BEGIN
  EXECUTE format('ALTER FUNCTION add_days() SET search_path = %I, pg_temp', current_schema());
  EXECUTE format('ALTER FUNCTION drop_days(int, jsonb, bigint) SET search_path = %I, pg_temp', current_schema());
END $$;
