-- `orderflow privacy erase` (docs/privacy.md): documents of a person's orders are found no more, and leave at once, as any
-- whose time is over: the timer takes their objects, and says so. Any shard will do, for the timer is its owner's.
CREATE FUNCTION erase_person(subject text, record_keys text[], pseudonym text, mask text) RETURNS bigint
LANGUAGE sql SET search_path FROM CURRENT AS $$
  WITH found AS (
    UPDATE documents SET words = NULL WHERE order_id = ANY(record_keys) RETURNING id
  ), leaving AS (
    INSERT INTO timers (key, name, topic, partition, due_at, payload)
    SELECT found.id, 'leave', shard.topic, shard.partition, clock_timestamp(), '{}'
    FROM found, (SELECT topic, partition FROM offsets ORDER BY topic, partition LIMIT 1) AS shard
    ON CONFLICT (key, name) DO UPDATE SET due_at = excluded.due_at)
  SELECT count(*) FROM found
$$;
