"""A desk places orders: each is said at K_SINK as a CloudEvent, one a second. Nothing in it knows of OrderFlow."""

import json
import os
import time
import urllib.error
import urllib.request
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread


def place(number: int) -> None:
    """Say an order, as often as it takes: its id is the same each time."""
    order = {"orderId": f"o{uuid.uuid4()}", "amount": 1_000 * (number % 150)}
    event = {
        "specversion": "1.0",
        "id": order["orderId"],
        "source": "/desk",
        "type": "ORDER_PLACED",
        "partitionkey": order["orderId"],
        "data": order,
    }
    headers = {"content-type": "application/cloudevents+json"}
    request = urllib.request.Request(os.environ["K_SINK"], json.dumps(event).encode(), headers)  # noqa: S310 - ours
    while True:
        try:
            urllib.request.urlopen(request).close()  # noqa: S310 - ours
            return
        except urllib.error.URLError as error:
            print(f"not taken yet: {error}", flush=True)
            time.sleep(1)


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), BaseHTTPRequestHandler)
    Thread(target=server.serve_forever, daemon=True).start()
    for number in range(1_000_000):
        place(number)
        time.sleep(1)
