-- The table of the sample service (`tests/support/runtime/sample_service.py`).
CREATE TABLE effects (
    at   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key  text COLLATE "C" NOT NULL,
    what text NOT NULL
);
