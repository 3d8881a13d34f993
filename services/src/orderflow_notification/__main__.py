"""The notification service's process: `python -m orderflow_notification`.

Environment: NOTIFICATION_SMTP_URL, the mail server (without it, notifications go to the log);
NOTIFICATION_FROM, the address they come from (default orders@localhost).
"""

from orderflow_notification.handlers import notification_service
from orderflow_notification.senders import LogSink, Sender
from orderflow_runtime import MisconfiguredError, Service, Settings, main


def build(settings: Settings) -> Service:
    """Return the service with the sender that the environment asks for."""
    return notification_service(_sender(settings))


def _sender(settings: Settings) -> Sender:
    url = settings.env.get("NOTIFICATION_SMTP_URL")
    if not url:
        return LogSink()
    from orderflow_notification.smtp_sender import SmtpSender, address_fault

    address = settings.env.get("NOTIFICATION_FROM") or "orders@localhost"
    if reason := address_fault(address):
        raise MisconfiguredError(f"NOTIFICATION_FROM={address}: {reason}")
    try:
        return SmtpSender(url, address)
    except ValueError as error:
        raise MisconfiguredError(f"NOTIFICATION_SMTP_URL: {error}") from None


if __name__ == "__main__":
    main(build)
