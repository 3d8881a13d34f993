-- A recipient may ask that an event be dropped, which is told among what did not go straight.
ALTER TABLE journal DROP CONSTRAINT journal_what_check;
ALTER TABLE journal ADD CONSTRAINT journal_what_check CHECK (what IN
  ('FAILED', 'WAITS', 'HANDLED', 'DEAD', 'REDRIVEN', 'FIRED', 'UNKNOWN', 'ANSWERED', 'DROPPED')) NOT VALID;
