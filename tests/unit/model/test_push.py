"""What a service with push is: a dispatcher of ours beside a program, and which of them cannot be."""

from typing import Any

import pytest

from orderflow_model.flow import OrderFlow
from orderflow_model.lint.flow import lint
from orderflow_model.placement import processes
from orderflow_model.service_part import service_config
from support.flow.flows import changed, pair


def pushed(**push: Any) -> dict[str, Any]:
    """Give the small flow with its answerer as a program."""
    return changed(pair(), "spec.services.1.push", {"port": 3000} | push)


def test_the_dispatcher_is_a_service_of_ours_and_the_program_is_what_the_resource_says() -> None:
    """Whoever runs the flow's services runs dispatchers, wherever these are placed, and programs beside them."""
    flow = OrderFlow.model_validate(changed(pushed(), "spec.placement", {"mode": "Together"}))
    dispatcher, [program] = flow.service("answerer"), flow.pushed
    assert dispatcher.command == ("python", "-m", "orderflow_push")
    assert (program.image, program.command) == ("example/answerer:1", ("answerer",))
    assert {one.name for process in processes(flow) for one in process.services} == {"asker", "answerer"}
    assert len(processes(flow)) == 1


def test_the_dispatcher_is_told_the_contracts_that_stand_in_the_resource() -> None:
    """Of what its program may publish, and of nothing else."""
    schema = {"type": "object", "required": ["ok"]}
    flow = changed(changed(pushed(), "spec.events.1.schema", schema), "spec.events.0.schema", {"type": "object"})
    told = service_config(OrderFlow.model_validate(flow), "answerer").push
    assert told is not None
    assert told.contracts == {"ANSWERED": schema}


@pytest.mark.parametrize(
    ("change", "place", "words"),
    [
        ({"spec.services.1.push": {"port": 8080}}, None, "push.port and httpPort are one"),
        ({"spec.services.1.migrations": "sql"}, None, "push and migrations exclude each other"),
        ({"spec.services.1.push": {"protocol": "Dapr", "port": 1, "batch": 2}}, None, "batch is CloudEvents's"),
        ({"spec.services.1.push": {"protocol": "Dapr", "port": 1, "path": "/in"}}, None, "path is CloudEvents's"),
        (
            {
                "spec.placement": {"mode": "Together"},
                "spec.services.1.httpPort": 3001,
                "spec.services.0.httpPort": 3000,
            },
            "spec.services[1].push.port",
            "the dispatcher of asker listens on 3000",
        ),
        (
            {
                "spec.privacy": {"secret": {"secretKeyRef": {"name": "s", "key": "k"}}, "readers": ["answerer"]},
                "spec.events.1.personalData": ["/email"],
            },
            "spec.services[1].publishes[0]",
            "personal data",
        ),
    ],
)
def test_what_cannot_be_is_refused_with_its_place(change: dict[str, Any], place: str | None, words: str) -> None:
    """By a rule of its part, or by the lint."""
    flow = pushed()
    for at, value in change.items():
        flow = changed(flow, at, value)
    if place is None:
        with pytest.raises(ValueError, match=words):
            OrderFlow.model_validate(flow)
        return
    found = [one for one in lint(OrderFlow.model_validate(flow)) if one.path == place]
    assert any(words in one.message for one in found), lint(OrderFlow.model_validate(flow))
