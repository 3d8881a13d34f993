-- One payment an order. token is erased when the outcome is known. Money is conserved by check: nothing is given back
-- that was not taken, and nothing is taken beyond what was asked for.
CREATE TABLE payment (
    order_id  text COLLATE "C" PRIMARY KEY,
    state     text NOT NULL CHECK (state IN
        ('PENDING', 'CAPTURED', 'FAILED', 'REFUNDING', 'REFUNDED', 'REFUND_FAILED', 'CANCELLED')),
    amount    bigint NOT NULL CHECK (amount >= 0),
    currency  text NOT NULL,
    token     text,
    captured  bigint NOT NULL CHECK (captured IN (0, amount)),
    refunded  bigint NOT NULL CHECK (refunded IN (0, captured)),
    cancelled boolean NOT NULL,
    attempt   int NOT NULL,
    reference text
) WITH (fillfactor = 75);
