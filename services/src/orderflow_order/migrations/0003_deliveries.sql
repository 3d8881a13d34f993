-- A repeated webhook delivery is known by its order, whose id is made of the key in its body.
DROP TABLE webhook_deliveries;
