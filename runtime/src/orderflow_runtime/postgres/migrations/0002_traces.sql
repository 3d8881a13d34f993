-- The trace that a timer's firing, a call's outcome and a dead letter's redrive carry on: "TRACEPARENT SPAN SPAN
-- TRACESTATE", where the spans above stand that context.py tells of. Outbox and parked rows have it in their headers.
ALTER TABLE timers ADD COLUMN trace text;
ALTER TABLE calls ADD COLUMN trace text;
ALTER TABLE dead_letters ADD COLUMN trace text;
