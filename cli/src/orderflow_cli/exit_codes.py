"""What commands end with; docs/cli.md has the table."""

from enum import IntEnum


class ExitCode(IntEnum):
    """One number means one thing, whatever command says it."""

    DONE = 0
    REFUSED = 1
    USAGE = 2
    BREAKS = 3
    UNKNOWN = 4
    INTERRUPTED = 130

    @property
    def meaning(self) -> str:
        """What it tells a script."""
        return _MEANINGS[self]


_MEANINGS = {
    ExitCode.DONE: "Done; what was asked for holds.",
    ExitCode.REFUSED: "Not done, or only in part, or it does not hold; the last line says why and what to do.",
    ExitCode.USAGE: "The command line is wrong, or what it names cannot be used.",
    ExitCode.BREAKS: "The change breaks something that others rely on.",
    ExitCode.UNKNOWN: "There is no such order, dead letter, topic or service.",
    ExitCode.INTERRUPTED: "Stopped by Ctrl-C before its end.",
}
