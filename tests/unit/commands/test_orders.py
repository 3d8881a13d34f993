"""`orderflow orders cancel` against an order service that answers oddly."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import urlsplit

import pytest
import yaml

from orderflow_cli.exit_codes import ExitCode
from orderflow_model.loading.load import parse_flow
from support.flow.cli_process import FLOW, invoke

CANCELLED = (202, json.dumps({"id": "o1", "state": "CANCELLING", "reason": "CUSTOMER"}))
LATE = (409, json.dumps({"detail": "it is COMPLETED"}))
UNKNOWN = (404, json.dumps({"detail": "there is no such order"}))
AWAY = (503, json.dumps({"detail": "the database is away"}))


@contextmanager
def order_service(*answers: tuple[int, str]) -> Iterator[str]:
    """Serve these answers, one a request; give the address."""
    left = list(answers)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            """Give the next answer."""
            status, body = left.pop(0)
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    ("answers", "code", "told"),
    [
        ([CANCELLED, CANCELLED, CANCELLED], ExitCode.DONE, 3),
        ([CANCELLED, LATE, UNKNOWN], ExitCode.REFUSED, 3),
        ([UNKNOWN, CANCELLED, UNKNOWN], ExitCode.UNKNOWN, 3),
        ([CANCELLED, AWAY], ExitCode.REFUSED, 1),
        ([CANCELLED, LATE, (200, "no JSON")], ExitCode.REFUSED, 2),
        ([(202, "[]")], ExitCode.REFUSED, 0),
    ],
)
def test_what_was_done_is_told_whatever_comes_after(answers: list[tuple[int, str]], code: ExitCode, told: int) -> None:
    """Each order that was decided has its line, also when nobody answers for the next; the code says how it ended."""
    with order_service(*answers) as url:
        done = invoke("orders", "cancel", "o1", "o2", "o3", "--url", url)
    assert done.returncode == code, done.stderr
    assert len(done.stdout.splitlines()) == told
    assert "Traceback" not in done.stderr


def test_an_id_that_is_no_text_is_unknown() -> None:
    """What a shell hands over undecoded is asked for like any other id, and is not there."""
    with order_service(UNKNOWN) as url:
        assert invoke("orders", "cancel", "\udcff", "--url", url).returncode == ExitCode.UNKNOWN


@pytest.mark.parametrize("verb", ["cancel", "resume"])
def test_the_service_that_takes_orders_is_found_whatever_its_name(tmp_path: Path, verb: str) -> None:
    """The flow that runs here says who begins its saga; nothing is asked of a service because of its name."""
    flow = yaml.safe_load(FLOW.read_text(encoding="utf-8"))
    for service in flow["spec"]["services"]:
        service["name"] = {"order": "desk", "payment": "order"}.get(service["name"], service["name"])
    with order_service(CANCELLED) as url:
        folder = tmp_path / "shop"
        folder.mkdir()
        (folder / "flow.json").write_text(parse_flow(flow).model_dump_json(by_alias=True), encoding="utf-8")
        (folder / "state.json").write_text(json.dumps({"ports": {"desk": urlsplit(url).port, "order": 1}}))
        done = invoke("orders", verb, "o1", "--state", str(tmp_path))
    assert done.returncode == ExitCode.DONE, done.stderr
