"""What can stop a run of the analytics, each with what a person can do next."""

HELD_UP = "held up"
"""How a line of a run begins that had to leave out what was stored before it."""


class AnalyticsError(Exception):
    """Base of all that a run refuses; nothing is half done by it."""


class LakeBusyError(AnalyticsError):
    """Another run writes to this lake; try again when it has ended."""


class StoredEventsError(AnalyticsError):
    """The sink's table cannot be read, or its database went away; what was exported until then stands."""


class OtherDatabaseError(AnalyticsError):
    """The lake has more than the database ever stored: it is another one, or an older state of it."""


class OtherTableError(AnalyticsError):
    """What stands at a table's place is of another flow, another version or another type; it stays as it is."""


class ContractError(AnalyticsError):
    """An event's contract is not there, or cannot be made into columns."""


class ModelsError(AnalyticsError):
    """The dbt project is not there, does not build, or one of its tests fails; the marts stay as they were."""


class DayGoneError(AnalyticsError):
    """A day cannot be made anew: the raw zone has not got all of its events any more; it stays as it was."""
