-- The trace that the order began in; commands that come later carry it on. It never changes.
ALTER TABLE orders ADD COLUMN trace text;
