"""Start the payment service: `python -m orderflow_payment`.

Environment: PAYMENT_PROVIDER_URL, where the payment provider is (required);
PAYMENT_PROVIDER_TIMEOUT, the seconds a request to it may take (default 5).
"""

from orderflow_payment.handlers import payment_service
from orderflow_payment.ports import PAYMENTS, REFUNDS, Client, ProviderPort
from orderflow_runtime.app import Settings, main
from orderflow_runtime.service import Service


def build(settings: Settings) -> Service:
    """Give the service, with the provider reached over HTTP."""
    url = settings.env.get("PAYMENT_PROVIDER_URL")
    if not url:
        raise SystemExit("PAYMENT_PROVIDER_URL is not set: give the payment provider's http address")
    client = Client(url, timeout=float(settings.env.get("PAYMENT_PROVIDER_TIMEOUT", "5")))
    return payment_service(ProviderPort(client, PAYMENTS), ProviderPort(client, REFUNDS))


if __name__ == "__main__":
    main(build)
