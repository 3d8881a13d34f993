-- What a statement calls that goes out unanswered, where it finds something else than what it was sent for: the transaction
-- fails with this SQLSTATE, so that nothing that was sent behind it commits.
CREATE FUNCTION raise_error(state text, reason text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION USING ERRCODE = state, MESSAGE = reason;
END $$;
