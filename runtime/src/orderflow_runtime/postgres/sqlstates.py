"""Whose fault an error of Postgres is: only an event's own counts an attempt of it and may end in the dead letters.

Every class of SQLSTATE has its line here, and single codes where they differ from their class. What is not listed, as
an extension's own codes, counts as the event's: it is tried as often as its delivery says and then put aside, which
holds up nothing and loses nothing. Source: PostgreSQL 18, appendix A, "PostgreSQL Error Codes".
"""

from enum import Enum
from typing import Final


class Fault(Enum):
    """Who has to change for the statement to succeed."""

    EVENT = "event"
    """the event, or the handler's code for it"""
    CONFLICT = "conflict"
    """nobody: the same transaction may succeed at once"""
    PASSING = "passing"
    """the database, which mends itself: wait"""
    LASTING = "lasting"
    """the database, which somebody has to mend: wait, and tell"""


CLASSES: Final = {
    "01": Fault.EVENT,  # warnings, raised as errors by a handler's own SQL
    "02": Fault.EVENT,  # no data
    "03": Fault.PASSING,  # statement not yet complete
    "08": Fault.PASSING,  # connection
    "09": Fault.EVENT,  # triggered action
    "0A": Fault.EVENT,  # feature not supported
    "0B": Fault.EVENT,  # transaction initiation
    "0F": Fault.EVENT,  # locator
    "0L": Fault.LASTING,  # grantor
    "0P": Fault.LASTING,  # role
    "0Z": Fault.EVENT,  # diagnostics
    "10": Fault.EVENT,  # XQuery
    "20": Fault.EVENT,  # case not found
    "21": Fault.EVENT,  # cardinality
    "22": Fault.EVENT,  # data
    "23": Fault.EVENT,  # integrity
    "24": Fault.EVENT,  # cursor state
    "25": Fault.EVENT,  # transaction state: the handler went on after an error
    "26": Fault.PASSING,  # a prepared statement that the session, or a pooler, has lost
    "27": Fault.EVENT,  # triggered data change
    "28": Fault.LASTING,  # authorization: role or password
    "2B": Fault.EVENT,  # dependent privileges
    "2D": Fault.EVENT,  # transaction termination
    "2F": Fault.EVENT,  # routine
    "34": Fault.EVENT,  # cursor name
    "38": Fault.EVENT,  # external routine
    "39": Fault.EVENT,  # external routine invocation
    "3B": Fault.EVENT,  # savepoint
    "3D": Fault.LASTING,  # no such database
    "3F": Fault.LASTING,  # no such schema
    "40": Fault.CONFLICT,  # transaction rollback
    "42": Fault.EVENT,  # syntax
    "44": Fault.EVENT,  # check option
    "53": Fault.PASSING,  # resources
    "54": Fault.EVENT,  # limits of the program, as a row too wide for its index
    "55": Fault.EVENT,  # prerequisite state
    "57": Fault.PASSING,  # operator intervention, time-outs of statements among it
    "58": Fault.LASTING,  # the system under it: a disk, a missing file
    "72": Fault.CONFLICT,  # snapshot too old
    "F0": Fault.LASTING,  # configuration
    "HV": Fault.PASSING,  # another server, behind a foreign table
    "P0": Fault.EVENT,  # PL/pgSQL
    "XX": Fault.EVENT,  # internal error
}

CODES: Final = {
    "25006": Fault.PASSING,  # read only: a standby, until it is promoted or another is found
    "25P03": Fault.PASSING,  # idle in transaction for too long
    "25P04": Fault.PASSING,  # transaction_timeout
    "40002": Fault.EVENT,  # an integrity constraint, at the end of a transaction
    "40003": Fault.PASSING,  # whether it committed is not known
    "42501": Fault.LASTING,  # insufficient privilege
    "42703": Fault.LASTING,  # no such column: the schema is another than this version's
    "42704": Fault.LASTING,  # no such object
    "42883": Fault.LASTING,  # no such function
    "42P01": Fault.LASTING,  # no such table
    "53100": Fault.LASTING,  # disk full
    "55006": Fault.PASSING,  # object in use
    "55P03": Fault.PASSING,  # lock_timeout
    "57P04": Fault.LASTING,  # the database was dropped
    "XX001": Fault.LASTING,  # data corrupted
    "XX002": Fault.LASTING,  # index corrupted
}

_ADVICE: Final = {
    "28": "the service's role or password is refused: the migration sets both, run it again",
    "3D": "the database is not there: make it, then run the migration",
    "3F": "the schema is not there: run the migration",
    "42501": "a right is missing: the migration grants it, run it again",
    "53100": "the database's disk is full",
    "57P04": "the database is not there any more: make it, then run the migration",
    "58": "the database cannot use its disk: see its log",
    "XX": "data on the database's disk is damaged: see its log",
}
_SCHEMA = "the schema is not the one that this version needs: see the migration's end, and run it again"


def fault(sqlstate: str) -> Fault:
    """Return whose fault an error with this SQLSTATE is."""
    return CODES.get(sqlstate) or CLASSES.get(sqlstate[:2], Fault.EVENT)


def advice(sqlstate: str) -> str:
    """Return what a person can do about an error that lasts."""
    return _ADVICE.get(sqlstate) or _ADVICE.get(sqlstate[:2], _SCHEMA)
