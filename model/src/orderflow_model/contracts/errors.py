"""What keeps contracts from being written or compared."""


class ContractsError(ValueError):
    """A contract cannot be had: `problem` says which module, schema or export, `remedy` what to do about it."""

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(f"{problem}. {remedy}")
        self.problem = problem
        self.remedy = remedy
