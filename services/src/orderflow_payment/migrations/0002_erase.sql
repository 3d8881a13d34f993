-- `orderflow privacy erase` (docs/privacy.md): by what the provider knows a person's card. What was paid stays.
CREATE FUNCTION erase_person(subject text, record_keys text[], pseudonym text, mask text) RETURNS bigint
LANGUAGE sql SET search_path FROM CURRENT AS $$
  WITH erased AS (
    UPDATE payment SET token = NULL WHERE order_id = ANY(record_keys) AND token IS NOT NULL RETURNING 1)
  SELECT count(*) FROM erased
$$;
