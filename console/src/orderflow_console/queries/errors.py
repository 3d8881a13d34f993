"""What ends a question: said to the person who asked, in a problem and a remedy."""


class ReadError(Exception):
    """A question has no answer: `problem` says why, `remedy` what to do about it."""

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(f"{problem}. {remedy}")
        self.problem = problem
        self.remedy = remedy


class UnknownError(ReadError):
    """What was asked for by its name is not there."""


class InvalidQuestionError(ReadError):
    """What was asked cannot be read, or cannot be asked so."""
