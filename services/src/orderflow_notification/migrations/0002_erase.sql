-- `orderflow privacy erase` (docs/privacy.md): where a person was reached, and what was still to be said.
CREATE FUNCTION erase_person(subject text, record_keys text[], pseudonym text, mask text) RETURNS bigint
LANGUAGE sql SET search_path FROM CURRENT AS $$
  WITH contact AS (
    DELETE FROM contacts WHERE order_id = ANY(record_keys) RETURNING 1
  ), notice AS (
    DELETE FROM waiting WHERE order_id = ANY(record_keys) RETURNING 1)
  SELECT (SELECT count(*) FROM contact) + (SELECT count(*) FROM notice)
$$;
