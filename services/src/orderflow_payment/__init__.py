"""The payment service: charges an order once through the payment provider, and gives the money back once."""
