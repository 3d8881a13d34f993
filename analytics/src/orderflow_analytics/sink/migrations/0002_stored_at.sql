-- By this a run of the lake finds whether anything came after what it has, but for a batch that it has passed.
CREATE INDEX events_stored_at ON events USING brin (stored_at) WITH (autosummarize = on);
