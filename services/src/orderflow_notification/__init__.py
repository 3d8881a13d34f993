"""The notification service: tells customers what happened to their orders, once for each thing that did."""
