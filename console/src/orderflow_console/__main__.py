"""`python -m orderflow_console`: serves the console until it is told to end."""

import logging
import os
import sys

import prometheus_client
import uvicorn

from orderflow_console.settings import Settings, SettingsError
from orderflow_console.web.app import build_app

_LAST_REQUESTS_SECONDS = 1


def main() -> None:
    """Serve; end with 78 where the settings are wrong."""
    try:
        settings = Settings.read(os.environ)
    except SettingsError as error:
        print(error, file=sys.stderr)
        raise SystemExit(os.EX_CONFIG) from None
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    if settings.metrics_port is not None:
        prometheus_client.start_http_server(settings.metrics_port, settings.host)
    uvicorn.run(
        build_app(settings),
        host=settings.host,
        port=settings.port,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=_LAST_REQUESTS_SECONDS,
    )


if __name__ == "__main__":
    main()
