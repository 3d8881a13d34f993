-- One row per order. What never changes stands first: an update on the same page then logs only the rest.
-- Each row is updated about six times, a batch touches all rows of a page: half of it is kept free for that.
CREATE TABLE orders (
    order_id  text COLLATE "C" PRIMARY KEY,
    placed_at timestamptz NOT NULL,
    customer  json NOT NULL,
    details   json NOT NULL,              -- lines, payment, shipTo, allowPartial, as they were placed
    currency  text NOT NULL,
    attempt   smallint NOT NULL,          -- how often the others were asked to undo
    state     text NOT NULL,
    reason    text,
    amount    bigint,                     -- minor units; null until known
    undo      text[] NOT NULL,            -- the compensations still owed: PAYMENT, STOCK
    history   jsonb NOT NULL              -- [{at, what, state, detail}], appended by the update that decides
) WITH (fillfactor = 50);

-- Webhook deliveries within the time window of their signature: a second one is a replay.
CREATE TABLE webhook_deliveries (
    signature text COLLATE "C" PRIMARY KEY,
    signed_at timestamptz NOT NULL
);
