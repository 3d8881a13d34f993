"""What services say to each other: the event base and the envelope on Kafka."""
