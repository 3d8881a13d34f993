-- What was said of each order: the key is what makes it once.
CREATE TABLE notifications (
    order_id text COLLATE "C" NOT NULL,
    kind     text COLLATE "C" NOT NULL,   -- the type of the event that is told
    refusal  text,                        -- why the mail server will never take it
    PRIMARY KEY (order_id, kind)
);

-- Where the customer of an order is reached; email is null while only later events of the order have come.
CREATE TABLE contacts (
    order_id text COLLATE "C" PRIMARY KEY,
    email    text,
    name     text
);

-- Notices that wait for their contact; gone when it comes.
CREATE TABLE waiting (
    order_id text COLLATE "C" NOT NULL,
    kind     text COLLATE "C" NOT NULL,
    subject  text NOT NULL,
    body     text NOT NULL,
    PRIMARY KEY (order_id, kind)
);
