"""The shipping service: one shipment for a paid order, recalled when the order is cancelled."""
