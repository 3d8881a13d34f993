-- The dispatcher's own tables; every service's schema has them. See DESIGN: one transaction per batch.

-- The truth of how far each partition has been handled, and who may go on: a lease is an epoch.
CREATE TABLE offsets (
  topic       text    NOT NULL,
  partition   int     NOT NULL,
  next_offset bigint  NOT NULL DEFAULT 0,
  epoch       bigint  NOT NULL DEFAULT 0,
  owner       text,
  PRIMARY KEY (topic, partition)
) WITH (fillfactor = 50);

-- What has been taken in, by the day of the event's own time (a duplicate has the same).
CREATE TABLE inbox (
  day date NOT NULL,
  id  uuid NOT NULL,
  PRIMARY KEY (day, id)
) PARTITION BY RANGE (day);
CREATE TABLE inbox_default PARTITION OF inbox DEFAULT;

-- What is to be published: one row holds all messages that one batch owes from one source partition.
CREATE TABLE outbox (
  id         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  topic      text        NOT NULL,
  partition  int         NOT NULL,
  intake     boolean     NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  messages   bytea       NOT NULL
);

-- Events that failed and wait for their next attempt, and later events of the same key behind them.
CREATE TABLE parked (
  id            bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  topic         text        NOT NULL,
  partition     int         NOT NULL,
  record_offset bigint,
  key           text        NOT NULL COLLATE "C",
  type          text        NOT NULL,
  headers       bytea       NOT NULL,
  value         bytea       NOT NULL,
  attempts      int         NOT NULL,
  reason        text        NOT NULL,
  parked_at     timestamptz NOT NULL DEFAULT now(),
  due_at        timestamptz NOT NULL
);
CREATE INDEX parked_key ON parked (key, id);
CREATE INDEX parked_due ON parked (due_at);

CREATE TABLE timers (
  key       text        NOT NULL COLLATE "C",
  name      text        NOT NULL,
  topic     text        NOT NULL,
  partition int         NOT NULL,
  due_at    timestamptz NOT NULL,
  payload   bytea       NOT NULL,
  PRIMARY KEY (key, name)
);
CREATE INDEX timers_due ON timers (due_at);

-- Intents of calls to the outside; a row goes in the transaction that handles its outcome.
CREATE TABLE calls (
  id         text        NOT NULL COLLATE "C" PRIMARY KEY,
  kind       text        NOT NULL,
  key        text        NOT NULL,
  topic      text        NOT NULL,
  partition  int         NOT NULL,
  request    bytea       NOT NULL,
  attempts   int         NOT NULL DEFAULT 0,
  reason     text,
  created_at timestamptz NOT NULL DEFAULT now()
);

-- What went to the dead-letter topic. `redrives` is the loop guard, `state` makes a redrive count once.
CREATE TABLE dead_letters (
  id            uuid        PRIMARY KEY,
  topic         text        NOT NULL,
  partition     int         NOT NULL,
  record_offset bigint,
  key           text,
  type          text        NOT NULL,
  event_id      text,
  attempts      int         NOT NULL,
  reason        text        NOT NULL,
  redrives      int         NOT NULL DEFAULT 0,
  state         text        NOT NULL DEFAULT 'Dead' CHECK (state IN ('Dead', 'Redriven')),
  died_at       timestamptz NOT NULL DEFAULT now()
);

-- Makes the inbox's partitions for the coming days and drops those older than `keep_days`. It runs with its owner's
-- rights, since a service owns no table. Rows that the default partition already holds for a day keep that day there.
CREATE FUNCTION rotate_inbox(keep_days int) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
  home text := split_part(current_setting('search_path'), ',', 1);
  wanted date;
  old  text;
BEGIN
  PERFORM pg_advisory_xact_lock(hashtext('rotate_inbox'), hashtext(home));
  FOR wanted IN SELECT d::date FROM generate_series(current_date - 1, current_date + 2, interval '1 day') d LOOP
    IF to_regclass('inbox_' || to_char(wanted, 'YYYYMMDD')) IS NULL
       AND NOT EXISTS (SELECT 1 FROM inbox_default i WHERE i.day = wanted) THEN
      EXECUTE format('CREATE TABLE inbox_%s PARTITION OF inbox FOR VALUES FROM (%L) TO (%L)',
                     to_char(wanted, 'YYYYMMDD'), wanted, wanted + 1);
    END IF;
  END LOOP;
  FOR old IN
    SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = 'inbox'::regclass AND c.relname ~ '^inbox_[0-9]{8}$'
      AND to_date(right(c.relname, 8), 'YYYYMMDD') < current_date - keep_days
  LOOP
    EXECUTE format('DROP TABLE %I', old);
  END LOOP;
  DELETE FROM inbox_default i WHERE i.day < current_date - keep_days;
END $$;
