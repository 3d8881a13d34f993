"""What can stop a command on a laptop: click prints each as one line that says what a person can do next."""

import click

from orderflow_cli.exit_codes import ExitCode


class LaptopError(click.ClickException):
    """Base of everything this package refuses: `message` says what happened, `remedy` what to do about it."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(f"{message}. {remedy}")
        self.problem = message
        self.remedy = remedy


class NotAnsweredError(LaptopError):
    """What was asked about a flow has no answer; the message says why."""


class UnknownNameError(LaptopError):
    """What was asked for by its name is not there."""

    exit_code = ExitCode.UNKNOWN


def place_of(error: OSError) -> str:
    """Return what went wrong, and with which file where there is one."""
    words = error.strerror or str(error)
    return f"{error.filename}: {words}" if error.filename else words


class ToolMissingError(LaptopError):
    """A program this step needs (Java, Maven, setpriv) is not on this machine."""


class StartError(LaptopError):
    """A child process ended, or was not ready in time; the message carries the end of its log."""


class TopicConflictError(LaptopError):
    """A topic on the broker differs from the flow in a way that cannot be applied (fewer partitions)."""


class TopicsRefusedError(LaptopError):
    """The broker refuses topics of the flow; the message names each with its place in the resource."""


class KafkaUnreachableError(LaptopError):
    """No Kafka answers at the given address, or it does not let the command in; the message says why."""


class FlowRefusedError(LaptopError):
    """The file holds no sound flow; the message names each place."""


class StateError(LaptopError):
    """The state directory cannot be used as it is."""


class AlreadyRunningError(LaptopError):
    """Another process runs this flow from the same state directory."""


class CannotRunHereError(LaptopError):
    """A service of the flow can be started neither as a process nor by docker on this machine."""


class OrdersRefusedError(LaptopError):
    """The order service answered that an order is wrong; sending it again would not help."""


class NotRunningError(LaptopError):
    """There is no such process to act on."""
