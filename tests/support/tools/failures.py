"""Failures told when they happen: a run in several workers shows none before its end, which is many minutes away.

`tests/conftest.py` loads it in every tier. The full reports still stand at the end.
"""

import pytest

LAST_LINES = 30
"""Of a report: where it failed and why."""


@pytest.hookimpl(trylast=True)  # the terminal comes first
def pytest_configure(config: pytest.Config) -> None:
    """Tell failures where there is a terminal, which workers have not."""
    if (terminal := config.pluginmanager.get_plugin("terminalreporter")) is not None:
        config.pluginmanager.register(FailuresAtOnce(terminal))


class FailuresAtOnce:
    """Writes each failure between the dots."""

    def __init__(self, terminal: pytest.TerminalReporter) -> None:
        self._terminal = terminal

    @pytest.hookimpl(trylast=True)  # after its letter
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Write which test failed, in what phase, and the last lines of its report."""
        if report.failed:
            self._terminal.write_line("")
            self._terminal.write_sep("-", f"FAILED {report.nodeid} ({report.when})", red=True)
            for line in report.longreprtext.splitlines()[-LAST_LINES:]:
                self._terminal.write_line(line)
            self._terminal.write_sep("-")
            self._terminal.flush()  # a pipe keeps it back otherwise
