-- `orderflow privacy erase` (docs/privacy.md): where goods of a person were to go.
CREATE FUNCTION erase_person(subject text, record_keys text[], pseudonym text, mask text) RETURNS bigint
LANGUAGE sql SET search_path FROM CURRENT AS $$
  WITH erased AS (
    UPDATE reservation SET ship_to = NULL WHERE order_id = ANY(record_keys) AND ship_to IS NOT NULL RETURNING 1)
  SELECT count(*) FROM erased
$$;
