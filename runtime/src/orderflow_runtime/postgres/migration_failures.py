"""What keeps a database from being brought up to date: one sentence, the Job's last words or the command's."""


class MigrationFailedError(Exception):
    """Base of all that a migration refuses; the message says what a person can do."""


class MigrationChangedError(MigrationFailedError):
    """A file that was applied has other content now: put it back, and write a new one for the change."""


class MigrationRefusedError(MigrationFailedError):
    """Postgres refuses what a file says, or it cannot be read; the message names file and line."""


class MigrationsNotFoundError(MigrationFailedError):
    """Whether a service has migrations cannot be told from its command."""


class OwnedElsewhereError(MigrationFailedError):
    """A schema or role of the wanted name belongs to another flow; nothing has been changed."""


class LeftBehindError(MigrationFailedError):
    """A service's data is in the database where it was made, not in this one."""


class StillUsedError(MigrationFailedError):
    """A schema or role cannot go, for somebody else uses it."""


class NotGrantedError(MigrationFailedError):
    """The admin may not give a service a right that it needs."""
