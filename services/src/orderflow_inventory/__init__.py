"""The inventory service: holds stock for an order, sells it when paid, puts it back when cancelled."""
