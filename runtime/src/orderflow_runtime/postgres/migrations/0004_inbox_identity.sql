-- An event is who published it and the id that it gave: (source, id). How long it is remembered counts from when it was
-- taken in, whatever time it says it has. `source` is a hash of the source's name (item.py).
--
-- What was taken in before has no source: it stands under source 0, and an event with such a row's id is known. Costs
-- a second or two for a million rows on a quick disk, during which batches of this service wait.
ALTER TABLE inbox RENAME TO inbox_by_day;

CREATE TABLE inbox (
  id     uuid        NOT NULL,                  -- the event's own id; of one that is no UUID, a hash
  source bigint      NOT NULL DEFAULT 0,
  day    date        NOT NULL DEFAULT current_date,  -- read by instances of the version before, beside the first new ones
  at     timestamptz NOT NULL DEFAULT now(),
  type   text,
  time   timestamptz,                           -- the event's own
  trace  bytea                                  -- the id of its trace, where that is recorded
);
INSERT INTO inbox (id, day, at, type, time, trace)
SELECT DISTINCT ON (id) id, day, coalesce(at, now()), type, time, trace FROM inbox_by_day ORDER BY id, at;
ALTER TABLE inbox ADD PRIMARY KEY (id, source);
CREATE INDEX inbox_at ON inbox (at);            -- rows of one batch have one time, so their entries are stored as one
DROP TABLE inbox_by_day;

-- Instances of the version before go on while new ones start: they know no source, and may be given an event that a
-- new instance has taken in.
CREATE FUNCTION skip_known() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (SELECT 1 FROM inbox AS i WHERE i.id = NEW.id) THEN
    RETURN NULL;
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER skip_known BEFORE INSERT ON inbox FOR EACH ROW WHEN (NEW.source = 0) EXECUTE FUNCTION skip_known();

DROP FUNCTION rotate_inbox(int);
DROP FUNCTION rotate_inbox_days(int);

-- Forgets what was taken in, and what the journal tells, more than `keep_days` ago.
CREATE FUNCTION rotate_inbox(keep_days int) RETURNS void LANGUAGE sql AS $$
  DELETE FROM inbox WHERE at < now() - make_interval(days => keep_days);
  DELETE FROM journal WHERE at < now() - make_interval(days => keep_days);
$$;
