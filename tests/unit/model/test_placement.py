"""Which services share a process: what a placement means, and what is wrong with one."""

from typing import Any

import pytest

from orderflow_model.findings import Severity
from orderflow_model.lint.flow import lint
from orderflow_model.loading.load import parse_flow
from orderflow_model.placement import processes

ALL = ("order", "inventory", "payment", "shipping", "notification")
CORE = {"name": "core", "services": ["payment", "order"]}


def placed(document: dict[str, Any]) -> dict[str, tuple[str, ...]]:
    """The services of each process."""
    return {one.group: tuple(service.name for service in one.services) for one in processes(parse_flow(document))}


@pytest.mark.parametrize(
    ("placement", "expected"),
    [
        ({}, {name: (name,) for name in ALL}),
        ({"mode": "Apart"}, {name: (name,) for name in ALL}),
        ({"mode": "Together"}, {"together": ALL}),
        ({"groups": [CORE]}, {"core": ("order", "payment")} | {name: (name,) for name in ALL[1:2] + ALL[3:]}),
        (
            {"mode": "Together", "groups": [CORE]},
            {"core": ("order", "payment"), "together": ("inventory", "shipping", "notification")},
        ),
        ({"groups": [{"name": "lone", "services": ["order"]}]}, {name: (name,) for name in ALL}),
    ],
)
def test_a_placement_says_which_services_share_a_process(
    edited: Any, placement: dict[str, Any], expected: dict[str, tuple[str, ...]]
) -> None:
    """Groups go first; a process of one service is that service's, whatever put it there."""
    assert placed(edited({"spec.placement": placement})) == expected


def test_a_process_of_other_services_is_another(edited: Any) -> None:
    """It starts beside the former; in another order, or with another image, it is the same, and rolls over."""

    def name(*services: str, order: int = 1) -> str:
        document = edited({"spec.placement": {"groups": [{"name": "core", "services": services}]}})
        document["spec"]["services"].sort(key=lambda one: one["name"], reverse=order < 0)
        return next(one.name for one in processes(parse_flow(document)) if one.is_shared)

    assert name("order", "payment") == name("payment", "order", order=-1)
    assert len({name("order", "payment"), name("order", "shipping"), name("order", "payment", "shipping")}) == 3


def test_without_a_placement_each_service_has_a_process(document: dict[str, Any]) -> None:
    """A flow that says nothing is as it ever was."""
    assert placed(document) == {name: (name,) for name in ALL}


def test_a_shared_process_has_what_its_services_have_in_sum(edited: Any) -> None:
    """Requests and limits add up, a limit that one does not have is none; what is said of the group goes before."""
    resources = {"requests": {"cpu": "250m", "memory": "100M"}, "limits": {"memory": "1Gi"}}
    document = edited({"spec.placement": {"groups": [CORE]}, "spec.services[0].resources": resources})
    core = processes(parse_flow(document))[0].resources
    assert (core.requests.cpu, core.requests.memory) == ("350m", "224Mi")
    assert (core.limits.cpu, core.limits.memory) == (None, "1536Mi")
    document = edited({"spec.placement": {"groups": [CORE | {"resources": resources}]}})
    assert processes(parse_flow(document))[0].resources.requests.memory == "100M"


def test_what_services_ask_for_has_a_sum_however_much_it_is(edited: Any) -> None:
    """No pod gets it, which Kubernetes says of the pod; the flow is read, judged and built as any other."""
    most = {"requests": {"cpu": "999999999T", "memory": "999999999T"}, "limits": {"memory": "999999999T"}}
    document = edited({"spec.placement": {"mode": "Together"}})
    document["spec"]["services"] = [one | {"resources": most} for one in document["spec"]["services"]]
    resources = processes(parse_flow(document))[0].resources.model_dump(mode="json", exclude_none=True)
    assert resources["requests"]["cpu"] == "4999999995000000000000"
    assert resources["requests"]["memory"] == resources["limits"]["memory"] == "4768371577262879Mi"


def test_services_of_a_process_listen_on_ports_of_their_own(edited: Any) -> None:
    """Who comes first in the resource keeps the port; the next free one goes to the next."""
    document = edited({"spec.placement": {"mode": "Together"}, "spec.services[1].httpPort": 8081})
    ports = processes(parse_flow(document))[0].http_ports
    assert ports == {"order": 8080, "inventory": 8081, "payment": 8082, "shipping": 8083, "notification": 8084}


WRONG = [
    ({"groups": [{"name": "core", "services": ["order", "paymet"]}]}, "groups[0].services[1]", "did you mean payment?"),
    ({"groups": [CORE, {"name": "b", "services": ["order", "shipping"]}]}, "groups[1].services[0]", "in group core"),
    ({"mode": "Together", "groups": [CORE | {"name": "together"}]}, "groups[0].name", "call the group otherwise"),
    ({"groups": [CORE | {"name": "shipping"}]}, "groups[0].name", "shipping is a service that is not in the group"),
    ({"groups": [{"name": "shipping", "services": ["order"]}]}, "groups[0].name", "call the group otherwise"),
]


@pytest.mark.parametrize(("placement", "place", "words"), WRONG)
def test_a_group_of_nobody_or_of_anothers_is_refused(
    edited: Any, placement: dict[str, Any], place: str, words: str
) -> None:
    """The finding stands where the name does."""
    found = {finding.path: finding for finding in lint(parse_flow(edited({"spec.placement": placement})))}
    assert words in found[f"spec.placement.{place}"].message
    assert found[f"spec.placement.{place}"].severity is Severity.ERROR


def test_a_group_may_be_called_after_one_of_its_services(edited: Any) -> None:
    """Nothing runs beside it that is called so."""
    assert lint(parse_flow(edited({"spec.placement": {"groups": [CORE | {"name": "order"}]}}))) == ()


def test_a_service_called_as_a_process_is_refused(edited: Any) -> None:
    """Both would have one Deployment."""
    placement = {"spec.placement": {"groups": [CORE]}}
    process = next(one.name for one in processes(parse_flow(edited(placement))) if one.is_shared)
    found = lint(parse_flow(edited(placement | {"spec.services[4].name": process})))
    assert [finding.path for finding in found] == ["spec.placement.groups[0]"]
    assert process in found[0].message


def test_services_that_are_told_more_than_a_pod_takes_cannot_share(edited: Any) -> None:
    """What they are told are annotations of their pods, of which the API server takes 256 KiB in all."""
    names = [f"{'E' * 97}{number:03}" for number in range(200)]
    events = [{"name": name, "topic": {"name": name * 2}} for name in names]
    service = {"image": "i", "command": ["python", "-m", "m"], "subscribes": names, "publishes": names}
    both = [service | {"name": "order"}, service | {"name": "payment"}]
    document = edited({"spec.events": events, "spec.services": both, "spec.placement": {"groups": [CORE]}})
    document["spec"] |= {"saga": None, "objectives": []}
    found = [finding for finding in lint(parse_flow(document)) if finding.severity is Severity.ERROR]
    assert [(one.path, "more than a pod takes" in one.message) for one in found] == [("spec.placement.groups[0]", True)]
    document["spec"]["services"][1]["publishes"] = ["NOT_DECLARED"]
    assert "not declared" in str([str(finding) for finding in lint(parse_flow(document))])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"spec.services[2].image": "acme/pay:2"}, "but not an image: orderflow/services:dev, acme/pay:2"),
        ({"spec.services[2].command": ["pay"]}, "payment cannot share a process: its command is not"),
        ({"spec.services[2].command": []}, "payment cannot share a process"),
        ({"spec.services[2].command": ["python", "-m", "orderflow_payment", "--fast"]}, "payment cannot share"),
    ],
)
@pytest.mark.parametrize(
    ("placement", "place"),
    [({"mode": "Together"}, "spec.placement.mode"), ({"groups": [CORE]}, "spec.placement.groups[0]")],
)
def test_services_of_other_images_or_programs_cannot_share(
    edited: Any, change: dict[str, Any], words: str, placement: dict[str, Any], place: str
) -> None:
    """One pod has one image, and its process finds a service by its module; apart, none of it matters."""
    found = lint(parse_flow(edited(change | {"spec.placement": placement})))
    assert [(finding.path, words in finding.message) for finding in found] == [(place, True)], found
    assert lint(parse_flow(edited({"spec.placement": {"mode": "Apart"}}))) == ()
