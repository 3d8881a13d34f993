-- Drops what is kept no longer, but only what the lake has: batches up to `passed`. Whole days go as their partition, the
-- rest row by row. `default_days` null: what is not named in `event_days` ({"EVENT": days}) is kept for ever. Returns
-- how many rows and partitions went.
--
-- It runs with its owner's rights: who may call it can delete nothing otherwise, nor anything of today. Where readers
-- or sinks hold a table for more than two seconds it gives way, and is called again another day.
--
-- Rows that go one by one, of which there may be millions, go first and hold up nobody who stores. Only then are whole
-- days locked and dropped, which takes a moment; where that has to give way, those rows are gone all the same.
CREATE FUNCTION drop_days(default_days int, event_days jsonb, passed bigint) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET timezone = 'UTC' SET lock_timeout = '2s' AS $$
DECLARE
  shortest  int := least(default_days, (SELECT min(value::int) FROM jsonb_each_text(event_days)));
  longest   int := greatest(default_days, (SELECT max(value::int) FROM jsonb_each_text(event_days)));
  old       regclass;
  is_passed boolean;
  rows      bigint := 0;
  days      bigint := 0;
BEGIN
  IF shortest IS NULL THEN
    RETURN 0;
  ELSIF shortest < 1 THEN
    RAISE EXCEPTION 'an event is kept for a day at least, not for %', shortest USING ERRCODE = 'invalid_parameter_value';
  ELSIF passed >= pg_snapshot_xmin(pg_current_snapshot())::text::bigint THEN
    RAISE EXCEPTION 'the lake cannot have passed batch %, which may not be complete yet', passed
      USING ERRCODE = 'invalid_parameter_value';
  END IF;
  BEGIN
    DELETE FROM events e WHERE e.batch <= passed AND e.stored_at < (current_date - shortest)::timestamptz
      AND e.stored_at < (current_date - coalesce((event_days ->> e.type)::int, default_days))::timestamptz
      AND (default_days IS NULL OR e.stored_at >= (current_date - longest)::timestamptz
           OR e.tableoid = 'events_default'::regclass);
    GET DIAGNOSTICS rows = ROW_COUNT;
  EXCEPTION
    WHEN lock_not_available OR deadlock_detected THEN NULL;
  END;
  BEGIN
    FOR old IN
      SELECT p.inhrelid::regclass FROM pg_inherits p JOIN pg_class c ON c.oid = p.inhrelid
      WHERE p.inhparent = 'events'::regclass AND c.relname ~ '^events_[0-9]{8}$' AND default_days IS NOT NULL
        AND to_date(right(c.relname, 8), 'YYYYMMDD') < current_date - longest
    LOOP
      LOCK TABLE ONLY events IN ACCESS EXCLUSIVE MODE;
      EXECUTE format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', old);
      EXECUTE format('SELECT NOT EXISTS (SELECT FROM %s WHERE batch > $1)', old) INTO is_passed USING passed;
      IF is_passed THEN
        EXECUTE format('DROP TABLE %s', old);
        days := days + 1;
      END IF;
    END LOOP;
  EXCEPTION
    WHEN lock_not_available OR deadlock_detected THEN days := 0;
  END;
  RETURN rows + days;
END $$;
REVOKE ALL ON FUNCTION drop_days(int, jsonb, bigint) FROM PUBLIC;
-- Who may only look into the schema calls nothing in it by itself.
REVOKE ALL ON FUNCTION add_days() FROM PUBLIC;
-- What runs with its owner's rights finds tables in this schema alone. Without pg_temp at the end a temporary table of who
-- calls it came first, and a trigger on that ran with the owner's rights.
DO $$ BEGIN
  EXECUTE format('ALTER FUNCTION add_days() SET search_path = %I, pg_temp', current_schema());
  EXECUTE format('ALTER FUNCTION drop_days(int, jsonb, bigint) SET search_path = %I, pg_temp', current_schema());
END $$;
