-- The shelf. A unit of stock is on hand, reserved or sold, and never lost between them: the sum check holds that in
-- the database too. To restock, raise both columns: UPDATE stock SET on_hand = on_hand + n, initial = initial + n …
-- Few rows that change with every batch: a low fillfactor leaves each page room to update in place.
CREATE TABLE stock (
    sku      text COLLATE "C" PRIMARY KEY,
    on_hand  bigint NOT NULL CHECK (on_hand >= 0),
    reserved bigint NOT NULL DEFAULT 0 CHECK (reserved >= 0),
    sold     bigint NOT NULL DEFAULT 0 CHECK (sold >= 0),
    initial  bigint NOT NULL,
    CHECK (on_hand + reserved + sold = initial)
) WITH (fillfactor = 20);

-- What an order holds or bought. ship_to is personal: it is erased as soon as it is handed on or not needed.
CREATE TABLE reservation (
    order_id  text COLLATE "C" PRIMARY KEY,
    state     text NOT NULL CHECK (state IN ('RESERVED', 'SOLD', 'RESTORED', 'OUT_OF_STOCK', 'CANCELLED')),
    cancelled boolean NOT NULL DEFAULT false,
    lines     jsonb NOT NULL,
    ship_to   jsonb
) WITH (fillfactor = 70);

-- The reference shop's shelf.
INSERT INTO stock (sku, on_hand, initial)
SELECT 'SKU-' || lpad(n::text, 4, '0'), 1000000, 1000000 FROM generate_series(1, 100) AS n;
