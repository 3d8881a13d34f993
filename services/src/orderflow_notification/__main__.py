"""The notification service's process: `python -m orderflow_notification`.

Environment: NOTIFICATION_SMTP_URL, the mail server (without it, notifications go to the log);
NOTIFICATION_FROM, the address they come from (default orders@localhost).
"""

from orderflow_notification.handlers import notification_service
from orderflow_notification.senders import LogSink, Sender
from orderflow_runtime import Service, Settings, main


def build(settings: Settings) -> Service:
    """Return the service with the sender that the environment asks for."""
    return notification_service(_sender(settings))


def _sender(settings: Settings) -> Sender:
    url = settings.env.get("NOTIFICATION_SMTP_URL")
    if not url:
        return LogSink()
    from orderflow_notification.smtp_sender import SmtpSender

    return SmtpSender(url, settings.env.get("NOTIFICATION_FROM", "orders@localhost"))


if __name__ == "__main__":
    main(build)
