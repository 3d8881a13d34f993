"""The operator's command line; `__main__` reads it and puts the parts together by it."""

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from orderflow_model.flow import GROUP
from orderflow_operator.kubernetes.labels import Object
from orderflow_operator.monitoring.settings import RUNBOOKS, Monitoring
from orderflow_operator.resources.build_context import ROLLOUT_DEADLINE_SECONDS, Network


@dataclass(frozen=True)
class Options:
    """What the command line says. No namespaces: all of them."""

    namespaces: tuple[str, ...]
    http_port: int
    rollout_deadline: int
    webhook_port: int | None
    webhook_certificates: Path
    monitoring: Monitoring
    network: Network
    log_level: str


def parse(arguments: Sequence[str] | None) -> Options:
    """Read the command line."""
    given = _parser().parse_args(arguments)
    return Options(
        namespaces=tuple(given.namespace),
        http_port=given.http_port,
        rollout_deadline=given.rollout_deadline,
        webhook_port=given.webhook_port,
        webhook_certificates=given.webhook_certificates,
        monitoring=Monitoring(given.runbooks, dict(given.monitoring_label)),
        network=Network(tuple(given.dns_port) or Network.dns_ports, given.flow_egress),
        log_level=given.log_level,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="orderflow-operator", description="Keeps OrderFlows true.")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--namespace", action="append", default=[], help="watch this namespace; may be repeated")
    where.add_argument("--all-namespaces", action="store_true", help="watch all namespaces; the default")
    parser.add_argument("--http-port", type=int, default=8081, help="port of /livez, /readyz and /metrics")
    parser.add_argument(
        "--rollout-deadline",
        type=int,
        default=ROLLOUT_DEADLINE_SECONDS,
        help="seconds in which a service's pods get ready",
    )
    parser.add_argument("--webhook-port", type=int, help="serve the validating webhook there")
    parser.add_argument(
        "--webhook-certificates", type=Path, default=Path("/etc/orderflow-webhook"), help="tls.crt and tls.key"
    )
    parser.add_argument("--runbooks", default=RUNBOOKS, help="address of the folder of the alerts' runbooks")
    parser.add_argument(
        "--monitoring-label",
        action="append",
        default=[],
        type=_label,
        metavar="NAME=VALUE",
        help="label on PodMonitors and PrometheusRules, by which your Prometheus finds them; may be repeated",
    )
    parser.add_argument(
        "--dns-port",
        action="append",
        default=[],
        type=int,
        help="port of the pods of the cluster's DNS; may be repeated; 53 and 5353 without it",
    )
    parser.add_argument(
        "--flow-egress",
        default=(),
        type=_rules,
        metavar="JSON",
        help="egress rules of a NetworkPolicy, as a JSON list: where flows may go beyond their own namespaces",
    )
    parser.add_argument("--log-level", default="INFO")
    return parser


def _rules(text: str) -> tuple[Object, ...]:
    try:
        rules = json.loads(text)
    except ValueError:
        rules = None
    if not isinstance(rules, list) or not all(isinstance(rule, dict) for rule in rules):
        raise argparse.ArgumentTypeError(f"{text!r} is no JSON list of egress rules")
    return tuple(rules)


def _label(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals) or name.startswith((GROUP, "app.kubernetes.io/")):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not NAME=VALUE, with a name that the operator does not set itself"
        )
    return name, value
