"""What keeps contracts from being written or compared."""

from orderflow_cli.errors import LaptopError


class ContractsError(LaptopError):
    """A contract cannot be had: its module, its schema or what it is compared with; the message says which."""
