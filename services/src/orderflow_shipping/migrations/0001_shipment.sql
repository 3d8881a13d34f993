-- One shipment an order. value is what its goods were charged at: captured = shipped value + refunded, at rest.
CREATE TABLE shipment (
    order_id text COLLATE "C" PRIMARY KEY,
    state    text NOT NULL CHECK (state IN ('CREATED', 'FAILED', 'RECALLED', 'CANCELLED')),
    tracking text,
    value    bigint NOT NULL CHECK (value >= 0),
    CHECK ((tracking IS NOT NULL) = (state IN ('CREATED', 'RECALLED')))
) WITH (fillfactor = 95);
