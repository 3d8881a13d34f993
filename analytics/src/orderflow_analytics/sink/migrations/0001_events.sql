-- Every event of the flow as it came: data byte for byte, with the version of the contract that wrote it.
--
-- `batch` is the transaction that wrote the row. All rows of batches below pg_snapshot_xmin(pg_current_snapshot()) are
-- there or will never be: by this the lake reads on without a gap, however many sinks write side by side.
CREATE TABLE events (
  stored_at timestamptz NOT NULL DEFAULT now(),
  batch     bigint      NOT NULL DEFAULT pg_current_xact_id()::text::bigint,
  type      text        NOT NULL COLLATE "C",
  source    text        NOT NULL COLLATE "C",
  id        text        NOT NULL COLLATE "C",
  version   int         NOT NULL,
  key       text        NOT NULL COLLATE "C",
  time      timestamptz NOT NULL,
  data      bytea       NOT NULL
) PARTITION BY RANGE (stored_at);
CREATE INDEX events_batch ON events (batch);
CREATE TABLE events_default PARTITION OF events DEFAULT;

-- Makes the partitions of the coming week, by days in UTC. It runs with its owner's rights, since a service owns no
-- table. A day that the default partition already holds rows of stays there.
CREATE FUNCTION add_days() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT SET timezone = 'UTC' AS $$
DECLARE
  home   text := split_part(current_setting('search_path'), ',', 1);
  wanted date;
BEGIN
  PERFORM pg_advisory_xact_lock(hashtext('add_days'), hashtext(home));
  FOR wanted IN SELECT d::date FROM generate_series(current_date, current_date + 7, interval '1 day') d LOOP
    IF to_regclass('events_' || to_char(wanted, 'YYYYMMDD')) IS NULL AND NOT EXISTS
       (SELECT 1 FROM events_default e WHERE e.stored_at >= wanted AND e.stored_at < wanted + 1) THEN
      EXECUTE format('CREATE TABLE events_%s PARTITION OF events FOR VALUES FROM (%L) TO (%L)',
                     to_char(wanted, 'YYYYMMDD'), wanted || ' 00:00+00', (wanted + 1) || ' 00:00+00');
    END IF;
  END LOOP;
END $$;
SELECT add_days();
