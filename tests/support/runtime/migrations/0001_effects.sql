-- The table of the tiny service (`tests/support/tiny.py`).
CREATE TABLE effects (
    at   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key  text COLLATE "C" NOT NULL,
    what text NOT NULL
);
