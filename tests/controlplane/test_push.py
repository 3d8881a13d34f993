"""A service that is a program of another language: what the API server refuses of it, and the pod that comes of it."""

from typing import Any

import pytest

from support.cluster.api import ApiError, Json
from support.cluster.operator_env import OperatorEnv
from support.flow.flows import changed, pair

PUSH: Json = {"protocol": "CloudEvents", "port": 3000, "path": "/in"}


def pushed(**push: Any) -> Json:
    """Give the small flow with its answerer as a program."""
    return changed(pair(), "spec.services.1.push", PUSH | push)


async def _deployment(ready: OperatorEnv) -> Json:
    return (await ready.made())["Deployment", "pair-answerer"]


async def test_a_program_runs_beside_its_dispatcher_and_holds_no_credentials(ready: OperatorEnv) -> None:
    """The dispatcher is the service to Kafka and Postgres; the program is told two addresses on loopback."""
    await ready.apply(pushed())
    await ready.until_ready("pair")
    deployment = await _deployment(ready)
    dispatcher, program = deployment["spec"]["template"]["spec"]["containers"]
    assert dispatcher["command"] == ["python", "-m", "orderflow_push"]
    assert (program["image"], program["command"]) == ("example/answerer:1", ["answerer"])
    told = {one["name"]: one.get("value") for one in program["env"]}
    assert told == {
        "PORT": "3000",
        "APP_PORT": "3000",
        "K_SINK": "http://127.0.0.1:8080/events",
        "DAPR_HTTP_PORT": "8080",
        "TMPDIR": "/dev/shm",  # noqa: S108 - the name, no file
    }
    assert "volumeMounts" not in program
    assert {"ORDERFLOW_APP_PORT": "3000"}.items() <= {
        one["name"]: one.get("value") for one in dispatcher["env"]
    }.items()
    assert program["readinessProbe"]["tcpSocket"]["port"] == 3000
    assert program["securityContext"]["readOnlyRootFilesystem"] is True
    await ready.apply(pair())
    await ready.until_ready("pair")
    deployment = await _deployment(ready)
    assert [one["name"] for one in deployment["spec"]["template"]["spec"]["containers"]] == ["answerer"]


@pytest.mark.parametrize(
    "push",
    [{"port": 8080}, {"port": 0}, {"protocol": "AMQP"}, {"concurrency": 501}, {"batch": 0}, {"path": "in"}],
)
async def test_the_api_server_itself_refuses_what_cannot_be(ready: OperatorEnv, push: Json) -> None:
    """By the rules of the CRD, the same that the lint has."""
    with pytest.raises(ApiError):
        await ready.apply(pushed(**push))
