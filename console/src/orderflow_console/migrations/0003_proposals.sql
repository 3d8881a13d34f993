-- What a filter finds is written down when a person looks at it, so that what is done later is done to the very same items.
ALTER TABLE jobs DROP CONSTRAINT jobs_state_check;
ALTER TABLE jobs ADD CONSTRAINT jobs_state_check CHECK (state IN ('Proposed', 'Running', 'Paused', 'Done'));

-- For which Redrive of a cluster it is, by uid: one each, however often its pod is started. The console leaves it alone.
ALTER TABLE jobs ADD COLUMN origin text UNIQUE;
