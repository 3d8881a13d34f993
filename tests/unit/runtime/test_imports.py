"""What a service's process holds in memory of what it does not use: nothing, as far as an import decides it."""

import subprocess
import sys

import pytest

SERVICES = ("order", "inventory", "payment", "shipping", "notification")
NEVER = {"confluent_kafka", "kubernetes", "kopf", "grpc", "google", "aiosmtplib", "orderflow_model.flow"}


def imported(service: str) -> set[str]:
    """Give the modules of a service's process as it begins, with the packages that they are in."""
    command = [sys.executable, "-c", f"import sys, orderflow_{service}.__main__; print(*sys.modules)"]
    return set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_imports_nothing_that_others_need(service: str) -> None:
    """No model of the whole resource, no other client of Kafka, none of Kubernetes, and no exporter of traces."""
    assert not imported(service) & NEVER


@pytest.mark.parametrize("service", sorted({*SERVICES} - {"order"}))
def test_a_service_without_an_api_imports_no_http_framework(service: str) -> None:
    """Health and metrics need none."""
    assert not imported(service) & {"uvicorn", "starlette.applications", "fastapi", "orderflow_runtime.api_server"}
