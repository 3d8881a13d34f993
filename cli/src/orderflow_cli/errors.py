"""What can stop a command on a laptop: click prints each as one line that says what a person can do next."""

import click


class LaptopError(click.ClickException):
    """Base of everything this package refuses: `message` says what happened, `remedy` what to do about it."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(f"{message}. {remedy}")
        self.remedy = remedy


class ToolMissingError(LaptopError):
    """A program this step needs (Java, Maven, setpriv) is not on this machine."""


class StartError(LaptopError):
    """A child process ended, or was not ready in time; the message carries the end of its log."""


class TopicConflictError(LaptopError):
    """A topic on the broker differs from the flow in a way that cannot be applied (fewer partitions)."""
