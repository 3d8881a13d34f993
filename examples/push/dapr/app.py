"""Stock checks each order: a program written for Dapr, by its HTTP API alone. Nothing in it knows of OrderFlow.

An event may come more than once, always under the same id; so what it says of it has the same id each time, and is
published once. The journal has a line for each time.
"""

import json
import os
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PUBLISH = f"http://127.0.0.1:{os.environ.get('DAPR_HTTP_PORT', '3500')}/v1.0/publish/pubsub/ORDER_CHECKED"
SUBSCRIPTIONS = [{"pubsubname": "pubsub", "topic": "orders", "route": "/orders"}]
JOURNAL = os.environ.get("JOURNAL", os.devnull)


def check(event: dict) -> dict:
    """Note an order's event and publish what came of it; return Dapr's status."""
    order = event["data"]
    with open(JOURNAL, "a", encoding="utf-8") as journal:
        journal.write(f"{order['orderId']} {event['id']}\n")
    checked = {
        "specversion": "1.0",
        "id": f"stock-{event['id']}",
        "source": "/stock",
        "type": "ORDER_CHECKED",
        "partitionkey": order["orderId"],
        "data": {"orderId": order["orderId"], "check": "stock", "passed": order["amount"] < 100_000},
    }
    headers = {"content-type": "application/cloudevents+json"}
    with urllib.request.urlopen(urllib.request.Request(PUBLISH, json.dumps(checked).encode(), headers)):
        return {"status": "SUCCESS"}


class Handler(BaseHTTPRequestHandler):
    """Answers Dapr's sidecar."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Say what is subscribed."""
        self.answer(SUBSCRIPTIONS if self.path == "/dapr/subscribe" else {})

    def do_POST(self) -> None:
        """Take an event; one that cannot be handled now comes again."""
        event = json.loads(self.rfile.read(int(self.headers["content-length"])))
        try:
            self.answer(check(event))
        except OSError:
            self.answer({"status": "RETRY"})

    def answer(self, content: object) -> None:
        """Send JSON."""
        body = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing of each request."""


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
