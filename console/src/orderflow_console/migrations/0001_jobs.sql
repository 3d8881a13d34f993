-- What people do to many things at once: a job, and what became of each of its items. A job is also its own audit.
CREATE TABLE jobs (
  id       bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  kind     text        NOT NULL,
  target   text        NOT NULL,                 -- the service that it is about
  asked    jsonb       NOT NULL,                 -- the filter, as a person gave it
  person   text        NOT NULL,
  state    text        NOT NULL CHECK (state IN ('Running', 'Paused', 'Done')),
  problem  text,                                 -- why it stands, where nobody paused it
  total    int         NOT NULL,
  tried    int         NOT NULL,                 -- of its items, done or refused
  refused  int         NOT NULL,
  begun_at timestamptz NOT NULL DEFAULT now(),
  ended_at timestamptz
);

CREATE TABLE job_items (
  job     bigint      NOT NULL REFERENCES jobs ON DELETE CASCADE,
  item    text        NOT NULL COLLATE "C",
  done_at timestamptz,                           -- null: not yet tried
  refused text,                                  -- why it was not done
  PRIMARY KEY (job, item)
);
CREATE INDEX job_items_left ON job_items (job) WHERE done_at IS NULL;
CREATE INDEX job_items_refused ON job_items (job, item) WHERE refused IS NOT NULL;
