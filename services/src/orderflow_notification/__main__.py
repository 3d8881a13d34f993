"""The notification service's process: `python -m orderflow_notification`.

Environment: NOTIFICATION_SMTP_URL, the mail server (without it, notifications go to the log);
NOTIFICATION_FROM, the address they come from (default orders@localhost).
"""

from orderflow_notification.handlers import notification_service
from orderflow_notification.senders import LogSink, Sender, SmtpSender
from orderflow_runtime import Service, Settings, main


def build(settings: Settings) -> Service:
    """Return the service with the sender that the environment asks for."""
    url = settings.env.get("NOTIFICATION_SMTP_URL")
    address = settings.env.get("NOTIFICATION_FROM", "orders@localhost")
    sender: Sender = SmtpSender(url, address) if url else LogSink()
    return notification_service(sender)


if __name__ == "__main__":
    main(build)
