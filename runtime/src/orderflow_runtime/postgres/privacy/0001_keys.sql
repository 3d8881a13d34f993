-- A key per person, wrapped by the flow's own: a copy of this table tells nothing. Services ask by the two functions below,
-- which hold a lock that they share until they commit; who erases takes it alone, so that nothing of a person is
-- committed by a key that is gone.
CREATE TABLE keys (
  person  uuid        PRIMARY KEY,      -- a random id, thrown away with the key
  subject bytea       NOT NULL UNIQUE,  -- HMAC of the person's id in the flow's events
  wrapped bytea       NOT NULL,
  made_at timestamptz NOT NULL DEFAULT now()
);

-- Whose the events of a record key are, for those that do not say so themselves.
CREATE TABLE records (
  record_key text COLLATE "C" PRIMARY KEY,
  person     uuid NOT NULL
);
CREATE INDEX records_person ON records (person);

CREATE FUNCTION open_keys(people uuid[]) RETURNS TABLE (person uuid, wrapped bytea)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = privacy, pg_temp AS $$
BEGIN
  PERFORM pg_advisory_xact_lock_shared(hashtext('orderflow privacy'));
  RETURN QUERY SELECT k.person, k.wrapped FROM keys AS k WHERE k.person = ANY(people);
END $$;

CREATE FUNCTION seal_keys(record_keys text[], subjects bytea[], people uuid[], wrappings bytea[])
RETURNS TABLE (number bigint, person uuid, wrapped bytea)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = privacy, pg_temp AS $$
#variable_conflict use_column
BEGIN
  PERFORM pg_advisory_xact_lock_shared(hashtext('orderflow privacy'));
  INSERT INTO keys (person, subject, wrapped)
  SELECT DISTINCT ON (t.subject) t.person, t.subject, t.wrapped
  FROM unnest(subjects, people, wrappings) AS t (subject, person, wrapped)
  WHERE t.subject IS NOT NULL AND NOT EXISTS (SELECT 1 FROM keys AS k WHERE k.subject = t.subject)
  ORDER BY t.subject ON CONFLICT DO NOTHING;
  INSERT INTO records (record_key, person)
  SELECT DISTINCT ON (t.record_key) t.record_key, k.person
  FROM unnest(record_keys, subjects) AS t (record_key, subject) JOIN keys AS k ON k.subject = t.subject
  WHERE NOT EXISTS (SELECT 1 FROM records AS r WHERE r.record_key = t.record_key)
  ORDER BY t.record_key ON CONFLICT DO NOTHING;
  RETURN QUERY
  SELECT t.number, k.person, k.wrapped
  FROM unnest(record_keys, subjects) WITH ORDINALITY AS t (record_key, subject, number)
  JOIN keys AS k ON k.person = coalesce(
    (SELECT s.person FROM keys AS s WHERE s.subject = t.subject),
    (SELECT r.person FROM records AS r WHERE r.record_key = t.record_key));
END $$;
REVOKE ALL ON FUNCTION open_keys(uuid[]), seal_keys(text[], bytea[], uuid[], bytea[]) FROM PUBLIC;

-- What was done with people's data: each entry holds the hash of the one before, and none is changed or deleted.
CREATE TABLE audit (
  number   bigint PRIMARY KEY,
  at       text   NOT NULL,
  who      text   NOT NULL,
  what     text   NOT NULL,
  subject  text   NOT NULL,   -- HMAC of the person's id, as in keys
  details  text   NOT NULL,   -- JSON
  previous text   NOT NULL,
  hash     text   NOT NULL
);
CREATE FUNCTION keep_audit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'entries of the audit trail are neither changed nor deleted';
END $$;
CREATE TRIGGER keep_audit BEFORE UPDATE OR DELETE OR TRUNCATE ON audit FOR EACH STATEMENT EXECUTE FUNCTION keep_audit();
