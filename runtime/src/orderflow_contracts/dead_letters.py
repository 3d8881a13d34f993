"""A dead letter in Kafka, as the runtime writes it and `orderflow redrive` reads it and puts it back.

It is a record of a service's dead-letter topic: key, value and headers of the event as they came, and under `PREFIX`
why it is there and where it belongs. None of these headers goes along when the event is put back, but for `REDRIVE_OF`.
"""

PREFIX = "orderflow-"
LETTER_ID = PREFIX + "dead-letter-id"
SERVICE = PREFIX + "dead-letter-service"
REASON = PREFIX + "dead-letter-reason"
ATTEMPTS = PREFIX + "dead-letter-attempts"
TOPIC = PREFIX + "dead-letter-topic"
PARTITION = PREFIX + "dead-letter-partition"
OFFSET = PREFIX + "dead-letter-offset"
UNSENT = PREFIX + "dead-letter-unsent"
"""Header of a letter whose message never reached its topic: a redrive writes it there as if for the first time."""
REDRIVE_OF = PREFIX + "redrive-of"
"""Header of a redriven record: the dead letter's id. Only the service that holds that dead letter takes it."""

TIMER = "timer/"
CALL = "call/"
"""What the type of a dead letter begins with that is no event: it came from no topic, and goes back to none."""

MAX_REDRIVES = 5
"""The loop guard: a dead letter that was redriven so often is left where it is."""
