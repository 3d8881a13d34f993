-- What the console and `orderflow orders` read of orders (docs/services.md): three views that tell nothing personal.
--
-- No index on `state`: an order changes it five times, and each change would then write to every index of the table. Orders
-- that have not ended are found by their deadline; the few that have none by `undated`, which a trigger keeps: those that
-- wait for a person, and those that were shipped before their price was known. The indexes below are written once an
-- order. Making them takes some seconds for a million orders, during which none are placed.
CREATE INDEX orders_placed ON orders (placed_at, order_id);
CREATE INDEX orders_customer ON orders ((customer ->> 'id'), placed_at, order_id);

CREATE TABLE undated (order_id text COLLATE "C" PRIMARY KEY);
INSERT INTO undated SELECT order_id FROM orders WHERE state IN ('COMPENSATION_FAILED', 'SHIPPED');

CREATE FUNCTION keep_undated() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
  IF NEW.state IN ('COMPENSATION_FAILED', 'SHIPPED') THEN
    INSERT INTO undated VALUES (NEW.order_id) ON CONFLICT DO NOTHING;
  ELSE
    DELETE FROM undated WHERE order_id = NEW.order_id;
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER keep_undated AFTER UPDATE OF state ON orders FOR EACH ROW
  WHEN (OLD.state IN ('COMPENSATION_FAILED', 'SHIPPED') OR NEW.state IN ('COMPENSATION_FAILED', 'SHIPPED'))
  EXECUTE FUNCTION keep_undated();

CREATE VIEW saga_instances AS
  SELECT order_id AS id, placed_at AS begun_at, state, reason, customer ->> 'id' AS customer, history FROM orders;

CREATE VIEW saga_open AS
  SELECT key AS id FROM timers WHERE name = 'deadline' UNION ALL SELECT order_id FROM undated;

CREATE VIEW saga_states (state, phase) AS VALUES
  ('PENDING', 'Open'), ('RESERVED', 'Open'), ('PAID', 'Open'), ('SHIPPED', 'Open'), ('CANCELLING', 'Open'),
  ('COMPENSATION_FAILED', 'Stuck'), ('COMPLETED', 'Ended'), ('CANCELLED', 'Ended');
