CREATE TABLE grants (
    order_id text COLLATE "C" PRIMARY KEY,
    customer text NOT NULL,
    points   bigint NOT NULL
);
