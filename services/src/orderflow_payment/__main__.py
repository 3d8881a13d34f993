"""Start the payment service: `python -m orderflow_payment`.

Environment: PAYMENT_PROVIDER_URL, where the payment provider is (required);
PAYMENT_PROVIDER_TIMEOUT, the seconds a request to it may take (default 5).
"""

import re
from dataclasses import replace

from orderflow_payment.handlers import payment_service
from orderflow_payment.ports import PAYMENTS, REFUNDS, Client, ProviderPort
from orderflow_runtime import MisconfiguredError, Service, Settings, main, required, web_address

_SECONDS = re.compile(r"[0-9]{1,4}(\.[0-9]{1,3})?")


def build(settings: Settings) -> Service:
    """Return the service, with the provider reached over HTTP."""
    required(settings.env, "PAYMENT_PROVIDER_URL")
    client = Client(web_address(settings.env, "PAYMENT_PROVIDER_URL") or "", _timeout(settings))
    service = payment_service(ProviderPort(client, PAYMENTS), ProviderPort(client, REFUNDS))
    return replace(service, close=client.close)


def _timeout(settings: Settings) -> float:
    text = settings.env.get("PAYMENT_PROVIDER_TIMEOUT") or "5"
    if not _SECONDS.fullmatch(text) or not float(text):
        raise MisconfiguredError(f"PAYMENT_PROVIDER_TIMEOUT={text} is not a number of seconds, such as 5 or 0.5")
    return float(text)


if __name__ == "__main__":
    main(build)
