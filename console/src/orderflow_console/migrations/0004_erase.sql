-- `orderflow privacy erase` (docs/privacy.md): a job that was asked for by something of a person keeps its items and what
-- became of them; what people typed is masked, word for word, and so is what was said of its items.
CREATE FUNCTION erase_person(subject text, record_keys text[], pseudonym text, mask text, texts text[]) RETURNS bigint
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
  own text[] := subject || record_keys || texts;
  jobs_of bigint;
  items_of bigint;
BEGIN
  WITH erased AS (
    UPDATE jobs SET problem = CASE WHEN problem IS NOT NULL THEN mask END, asked = (
      SELECT jsonb_object_agg(name,
        CASE WHEN EXISTS (SELECT FROM unnest(own) AS o WHERE strpos(said, o) > 0) THEN mask ELSE said END)
      FROM jsonb_each_text(asked) AS a (name, said))
    WHERE EXISTS (SELECT FROM jsonb_each_text(asked) AS a (name, said), unnest(own) AS o WHERE strpos(a.said, o) > 0)
       OR EXISTS (SELECT FROM unnest(own) AS o WHERE strpos(problem, o) > 0)
    RETURNING 1)
  SELECT count(*) INTO jobs_of FROM erased;
  WITH erased AS (
    UPDATE job_items SET refused = mask WHERE EXISTS (SELECT FROM unnest(own) AS o WHERE strpos(refused, o) > 0) RETURNING 1)
  SELECT count(*) INTO items_of FROM erased;
  RETURN jobs_of + items_of;
END $$;
