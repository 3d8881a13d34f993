"""What keeps a database from being brought up to date: one sentence, the Job's last words or the command's."""


class MigrationFailed(Exception):  # noqa: N818 - it says what is the case
    """Base of all that a migration refuses; the message says what a person can do."""


class MigrationChanged(MigrationFailed):
    """A file that was applied has other content now: put it back, and write a new one for the change."""


class MigrationRefused(MigrationFailed):
    """Postgres refuses what a file says."""


class MigrationsNotFound(MigrationFailed):
    """Whether a service has migrations cannot be told from its command."""


class OwnedElsewhere(MigrationFailed):
    """A schema or role of the wanted name belongs to another flow; nothing has been changed."""


class StillUsed(MigrationFailed):
    """A schema or role cannot go, for somebody else uses it."""


class NotGranted(MigrationFailed):
    """The admin may not give a service a right that it needs."""
