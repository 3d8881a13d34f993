-- Who changed something by the console, or saw what is personal: each entry holds the hash of the one before, and none is
-- changed or deleted.
CREATE TABLE audit (
  number   bigint PRIMARY KEY,
  at       text   NOT NULL,
  who      text   NOT NULL,   -- the person's name, and who that is where they log in
  what     text   NOT NULL,   -- for which role it was asked
  subject  text   NOT NULL,   -- the address that was asked for
  details  text   NOT NULL,   -- JSON: which fields the form had, and the SHA-256 of all it said
  previous text   NOT NULL,
  hash     text   NOT NULL
);
CREATE FUNCTION keep_audit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'entries of the audit trail are neither changed nor deleted';
END $$;
CREATE TRIGGER keep_audit BEFORE UPDATE OR DELETE OR TRUNCATE ON audit FOR EACH STATEMENT EXECUTE FUNCTION keep_audit();
