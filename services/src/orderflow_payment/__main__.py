"""Start the payment service: `python -m orderflow_payment`.

Environment: PAYMENT_PROVIDER_URL, where the payment provider is (required);
PAYMENT_PROVIDER_TIMEOUT, the seconds a request to it may take (default 5).
"""

from dataclasses import replace

from orderflow_payment.handlers import payment_service
from orderflow_payment.ports import PAYMENTS, REFUNDS, Client, ProviderPort
from orderflow_runtime import MisconfiguredError, Service, Settings, main, required


def build(settings: Settings) -> Service:
    """Return the service, with the provider reached over HTTP."""
    client = Client(required(settings.env, "PAYMENT_PROVIDER_URL"), _timeout(settings))
    service = payment_service(ProviderPort(client, PAYMENTS), ProviderPort(client, REFUNDS))
    return replace(service, close=client.close)


def _timeout(settings: Settings) -> float:
    text = settings.env.get("PAYMENT_PROVIDER_TIMEOUT", "5")
    try:
        return float(text)
    except ValueError:
        raise MisconfiguredError(f"PAYMENT_PROVIDER_TIMEOUT={text} is not a number of seconds") from None


if __name__ == "__main__":
    main(build)
