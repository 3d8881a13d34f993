-- What can be told of one key, step by step (story.py). An event taken in is told by its inbox row: ids of one key's events
-- begin alike (ids.py), so the inbox's own index finds them.
ALTER TABLE inbox ADD COLUMN at timestamptz DEFAULT now();
ALTER TABLE inbox ADD COLUMN type text;
ALTER TABLE inbox ADD COLUMN time timestamptz;   -- the event's own
ALTER TABLE inbox ADD COLUMN trace bytea;        -- the id of its trace, where that is recorded

-- What did not go straight, and what was no event. Rows are few: an ordinary event has none.
CREATE TABLE journal (
  key      text        NOT NULL COLLATE "C",
  at       timestamptz NOT NULL DEFAULT now(),
  what     text        NOT NULL CHECK (what IN
    ('FAILED', 'WAITS', 'HANDLED', 'DEAD', 'REDRIVEN', 'FIRED', 'UNKNOWN', 'ANSWERED')),
  type     text        NOT NULL,                 -- an event's, timer/NAME or call/KIND
  event_id text,                                 -- or the call's idempotency key
  attempt  int,
  reason   text,
  since    timestamptz,                          -- of a call: when it was asked for
  due_at   timestamptz                           -- of a failure: when it is tried again
);
CREATE INDEX journal_key ON journal (key);
CREATE INDEX journal_at ON journal USING brin (at);

ALTER FUNCTION rotate_inbox(int) RENAME TO rotate_inbox_days;
CREATE FUNCTION rotate_inbox(keep_days int) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
  PERFORM rotate_inbox_days(keep_days);
  DELETE FROM journal WHERE at < now() - make_interval(days => keep_days);
END $$;
