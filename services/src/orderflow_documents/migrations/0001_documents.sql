-- A document is announced before its object is written, and stored once both are there; one that leaves has a row until
-- its object is gone. Of its text only the words are kept here.
CREATE TABLE documents (
  id text PRIMARY KEY,
  order_id text NOT NULL,
  kind text NOT NULL,
  object text NOT NULL,
  sha256 text NOT NULL,
  size bigint NOT NULL,
  media_type text NOT NULL,
  state text NOT NULL DEFAULT 'ANNOUNCED',
  stored_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  words tsvector
);
CREATE INDEX documents_words ON documents USING gin (words);
CREATE INDEX documents_order ON documents (order_id, stored_at DESC, id DESC);
