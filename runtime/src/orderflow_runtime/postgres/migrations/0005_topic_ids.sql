-- What an offset is an offset of: the topic's id, which another topic of the same name does not have, and the last record that
-- was read before it. A log that lost its end and was filled again holds another one there. NULL is not known yet.
ALTER TABLE offsets ADD COLUMN topic_id uuid;
ALTER TABLE offsets ADD COLUMN last_offset bigint;
ALTER TABLE offsets ADD COLUMN last_checksum bigint;
