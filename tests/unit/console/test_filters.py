"""What a filter of dead letters means: the same for the page, its jobs and the command that does the same."""

import pytest
import yaml

from orderflow_console.queries.dead_letters import parse_condition
from orderflow_console.web.pages.dead_letters import asked_for, conditions, options
from orderflow_model.loading.load import parse_flow
from support.flow.cli_process import FLOW


@pytest.mark.parametrize(
    ("given", "named"), [("news_letter", "news-letter"), ("news-letter", "news-letter"), ("gone_by", "gone_by")]
)
def test_a_service_is_called_as_the_flow_calls_it(given: str, named: str) -> None:
    """A row tells a service's schema; its dead-letter topic, where a job looks, has the service's own name."""
    data = yaml.safe_load(FLOW.read_text())
    service = next(one for one in data["spec"]["services"] if one["name"] == "notification")
    service["name"] = "news-letter"
    assert asked_for(parse_flow(data), {"service": given, "key": " "}) == {"service": named}


def test_the_command_shown_asks_for_the_same() -> None:
    """What the page would have a person type is read by the command as what the page asks."""
    asked = {"service": "payment", "type": "ORDER=CREATED", "reason": "a~b = c", "key": "k"}
    words = options(asked)
    assert words[::2] == ["--where"] * 3
    assert [parse_condition(word) for word in words[1::2]] == conditions(asked)
