-- What the lake's role may do beside its own schema: read what the sink stored, and have days dropped that it has read.
-- The sink's schema has to be there: the operator waits for it, and on a laptop it comes first.
DO $$
DECLARE
  reader text := current_setting('orderflow.role');
BEGIN
  EXECUTE format('GRANT USAGE ON SCHEMA raw TO %I', reader);
  EXECUTE format('GRANT SELECT ON raw.events TO %I', reader);
  EXECUTE format('GRANT EXECUTE ON FUNCTION raw.drop_days(int, jsonb, bigint) TO %I', reader);
END $$;
