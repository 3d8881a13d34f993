-- `orderflow privacy erase` (docs/privacy.md): what the orders of a person say of them; the orders themselves stay.
CREATE FUNCTION erase_person(subject text, record_keys text[], pseudonym text, mask text) RETURNS bigint
LANGUAGE sql SET search_path FROM CURRENT AS $$
  WITH erased AS (
    UPDATE orders SET
      customer = json_build_object('id', pseudonym, 'email', mask, 'name', mask),
      details = (details::jsonb || jsonb_build_object(
        'payment', jsonb_build_object('token', mask),
        'shipTo', jsonb_build_object(
          'name', mask, 'street', mask, 'city', mask, 'country', details::jsonb #> '{shipTo,country}')))::json
    WHERE (order_id = ANY(record_keys) OR customer ->> 'id' = subject) AND customer ->> 'id' <> pseudonym
    RETURNING 1)
  SELECT count(*) FROM erased
$$;
