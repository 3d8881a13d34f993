"""The traces' collector: a way of spans out, over gRPC or HTTP as the resource says. `process.py` makes one.

All of it runs on the thread of `SpanQueue`. OpenTelemetry's variables for headers and certificate are honoured.
Sources: OpenTelemetry's specification of OTLP exporters (what may be sent again, and what not), and of its resources
(what their variables hold: a process's environment is not asked, for each of its services has its own).
"""

import re
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

import grpc
from opentelemetry.util.re import parse_env_headers

from orderflow_model import environment
from orderflow_model.service_config import ServiceConfig
from orderflow_model.spec.saga import TraceProtocol
from orderflow_runtime.settings import MisconfiguredError
from orderflow_runtime.tracing.otlp import encoder
from orderflow_runtime.tracing.span_queue import AwayError, RefusedError, Send, SpanQueue
from orderflow_runtime.variables import certificates

_TIMEOUT_SECONDS = 10.0
_EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
_OPTIONS = (("grpc.max_reconnect_backoff_ms", 10_000),)
"""gRPC's own is two minutes, in which it refuses what we send again."""
_NAME, _VALUE = re.compile(r"(?!.*-bin$)[-_.0-9a-z]+"), re.compile(r"[ -~]*")
"""Of a header, as gRPC has them; one whose name ends in -bin would be bytes."""
_PASSING_GRPC = frozenset({"UNAVAILABLE", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED", "ABORTED", "CANCELLED"})
_PASSING_HTTP = frozenset({408, 429, 502, 503, 504})


def collector(config: ServiceConfig, endpoint: str, env: Mapping[str, str]) -> SpanQueue:
    """Return the way of a service's spans to its collector."""
    return SpanQueue(encoder(_resource(config, env)), sender(config.tracing.protocol, endpoint, env))


def _resource(config: ServiceConfig, env: Mapping[str, str]) -> dict[str, str]:
    """Return the attributes of a service; those of OTEL_RESOURCE_ATTRIBUTES and OTEL_SERVICE_NAME go before."""
    own = {"service.name": config.service, "service.namespace": config.flow}
    if instance := env.get(environment.INSTANCE):
        own["service.instance.id"] = instance
    pairs = (item.partition("=") for item in env.get(environment.OTEL_ATTRIBUTES, "").split(",") if "=" in item)
    said = {name.strip(): unquote(value.strip()) for name, _, value in pairs}
    if name := env.get(environment.OTEL_NAME):
        said["service.name"] = name
    return own | said


def sender(protocol: TraceProtocol, endpoint: str, env: Mapping[str, str]) -> Send:
    """Return what sends requests to a collector; raise `MisconfiguredError` when a variable has a wrong value."""
    headers, certificate = _headers(env), certificates(env, environment.OTLP_CERTIFICATE)
    if protocol is TraceProtocol.GRPC:
        return _grpc_sender(endpoint, headers, certificate)
    return _http_sender(endpoint, headers, certificate)


def _headers(env: Mapping[str, str]) -> dict[str, str]:
    """Return the headers that requests carry; what is wrong with one is told without its value, which may be secret."""
    parts = [part.strip() for part in env.get(environment.OTLP_HEADERS, "").split(",")]
    headers: dict[str, str] = {}
    for number, part in enumerate(filter(None, parts), 1):
        found = parse_env_headers(part, liberal=True) if part.isascii() and "=" in part else {}
        if not any(_NAME.fullmatch(name) and _VALUE.fullmatch(value) for name, value in found.items()):
            raise MisconfiguredError(f"{environment.OTLP_HEADERS}: header {number} is not NAME=VALUE in ASCII")
        headers |= found
    return headers


def _grpc_sender(endpoint: str, headers: Mapping[str, str], certificate: str | None) -> Send:
    url = urlsplit(endpoint)
    if url.scheme == "https":
        roots = Path(certificate).read_bytes() if certificate else None
        channel = grpc.secure_channel(url.netloc, grpc.ssl_channel_credentials(roots), _OPTIONS)
    else:
        channel = grpc.insecure_channel(url.netloc, _OPTIONS)
    export = channel.unary_unary(_EXPORT)
    metadata = tuple(headers.items())

    def send(request: bytes) -> None:
        try:
            export(request, timeout=_TIMEOUT_SECONDS, metadata=metadata)
        except grpc.RpcError as error:
            code = error.code().name
            raise (AwayError if code in _PASSING_GRPC else RefusedError)(f"{code}: {error.details()}") from None

    return send


def _http_sender(endpoint: str, headers: Mapping[str, str], certificate: str | None) -> Send:
    url = endpoint.rstrip("/") + "/v1/traces"
    context = ssl.create_default_context(cafile=certificate) if url.startswith("https:") else None
    told = {"content-type": "application/x-protobuf", **headers}

    def send(request: bytes) -> None:
        asked = urllib.request.Request(url, request, told)  # noqa: S310 - the model takes http and https alone
        try:
            urllib.request.urlopen(asked, timeout=_TIMEOUT_SECONDS, context=context).close()  # noqa: S310 - as above
        except urllib.error.HTTPError as error:
            error.close()
            raise (AwayError if error.code in _PASSING_HTTP else RefusedError)(f"HTTP {error.code}") from None
        except OSError as error:
            raise AwayError(repr(error)) from None

    return send
