"""Names of the conditions in a flow's status; the operator sets them, people and scripts wait for them."""

VALID = "Valid"
TOPICS_READY = "TopicsReady"
IDENTITIES_READY = "IdentitiesReady"
SERVICES_READY = "ServicesReady"
READY = "Ready"

ALL = (VALID, TOPICS_READY, IDENTITIES_READY, SERVICES_READY, READY)
