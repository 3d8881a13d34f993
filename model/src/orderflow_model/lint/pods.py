"""Lint of what is asked of pods: what only shows once a service's own word and the defaults are put together."""

from collections.abc import Iterator

from orderflow_model.findings import Finding, did_you_mean
from orderflow_model.flow import OrderFlow
from orderflow_model.placement import ServiceProcess, processes


def lint_pods(flow: OrderFlow) -> Iterator[Finding]:
    """Find mounts of no volume, an end that is over before it begins, and services of one process that disagree."""
    for place, service in flow.services_by_place.items():
        pod = flow.pod(service)
        volumes = [volume.name for volume in pod.volumes or ()]
        for index, mount in enumerate(pod.volume_mounts or ()):
            if mount.name not in volumes:
                words = f"{service.name} has no volume {mount.name}{did_you_mean(mount.name, volumes)}"
                yield Finding(f"{place}.pod.volumeMounts[{index}]", words)
        grace, drain = pod.termination_grace_period_seconds, service.http_drain.seconds
        if grace is not None and grace <= drain:
            words = f"{service.name} serves on for {drain} s (httpDrain) and would be killed after {grace} s"
            yield Finding(f"{place}.pod.terminationGracePeriodSeconds", words)
    for process in processes(flow):
        yield from _agreement(flow, process)


def _agreement(flow: OrderFlow, process: ServiceProcess) -> Iterator[Finding]:
    first, *others = process.services
    places = {service.name: place for place, service in flow.services_by_place.items()}
    for other in others:
        if flow.pod(other) != flow.pod(first):
            words = f"{first.name} and {other.name} share a process, and ask different things of its pods"
            yield Finding(f"{places[other.name]}.pod", words)
