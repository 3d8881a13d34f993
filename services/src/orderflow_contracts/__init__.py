"""What services say to each other: the event base, the envelope on Kafka, and the reference flow's events."""
