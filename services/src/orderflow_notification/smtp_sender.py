"""Sends notifications by SMTP. It stands apart: a service that logs them does without the client."""

from collections.abc import Mapping
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from typing import Any
from urllib.parse import unquote, urlsplit

from aiosmtplib import SMTP, SMTPDataError, SMTPException, SMTPNotSupported, SMTPRecipientsRefused

from orderflow_runtime import OutcomeUnknownError

_PERMANENT = 500
_IMPLICIT_TLS, _STARTTLS, _PLAIN = "smtps", "smtp+starttls", "smtp"
_PORTS = {_IMPLICIT_TLS: 465, _STARTTLS: 587, _PLAIN: 25}


class SmtpSender:
    """Sends by `smtp://`, `smtp+starttls://` or `smtps://[user:password@]host[:port]`, from one address."""

    at_once = 1

    def __init__(self, url: str, sender: str, timeout: float = 10) -> None:
        parts = urlsplit(url)
        if parts.scheme not in _PORTS or not parts.hostname or parts.port == 0:  # a port that is none raises by itself
            raise ValueError("not a mail server; give smtp://host, smtp+starttls://host or smtps://host")
        self._url, self._sender, self._timeout = parts, sender, timeout

    async def perform(self, request: Mapping[str, Any], idempotency_key: str) -> dict[str, Any]:
        """Send the messages; raise `OutcomeUnknownError` when trying again may help."""
        refused = {}
        try:
            async with self._connection() as smtp:
                for message in request["messages"]:
                    if reason := await _send(smtp, self._sender, message):
                        refused[message["id"]] = reason
        except (OSError, SMTPException) as error:
            raise OutcomeUnknownError(f"{self._url.hostname}: {type(error).__name__}: {error}") from error
        return {"refused": refused}

    async def lookup(self, idempotency_key: str) -> dict[str, Any] | None:
        """Return None: mail has no way to ask, and the message id makes the repeat recognisable."""
        return None

    def _connection(self) -> SMTP:
        user, scheme = self._url.username, self._url.scheme
        return SMTP(
            hostname=self._url.hostname,
            port=self._url.port or _PORTS[scheme],
            username=unquote(user) if user else None,
            password=unquote(self._url.password or "") if user else None,
            timeout=self._timeout,
            use_tls=scheme == _IMPLICIT_TLS,
            start_tls=scheme == _STARTTLS,
        )


def address_fault(address: str) -> str:
    """Return why nothing can be sent from an address, or nothing."""
    try:
        return "" if Address(addr_spec=address).domain else "it has no domain, as in orders@example.org"
    except (ValueError, IndexError, MessageError) as error:
        return f"it is no address of a mailbox ({error})"


async def _send(smtp: SMTP, sender: str, message: Mapping[str, str]) -> str | None:
    """Send one message; give the reason when the server, or the form of the address, refuses it for good."""
    try:
        await smtp.send_message(_mail(sender, message), sender=sender, recipients=[message["to"]])
    except (SMTPRecipientsRefused, SMTPDataError) as error:
        return _for_good(error)
    except (SMTPNotSupported, ValueError, MessageError) as error:
        return f"the address cannot be written to: {error}"
    return None


def _mail(sender: str, message: Mapping[str, str]) -> EmailMessage:
    mail = EmailMessage()
    mail["From"] = sender
    mail["To"] = Address(message["name"], addr_spec=message["to"])
    mail["Subject"] = message["subject"]
    mail["Message-ID"] = f"<{message['id'].replace(':', '.')}@{sender.rpartition('@')[2]}>"
    mail.set_content(f"Hello {message['name']},\n\n{message['text']}\n")
    return mail


def _for_good(error: SMTPRecipientsRefused | SMTPDataError) -> str:
    """Return a permanent refusal's words; raise a passing one again."""
    answer = error.recipients[0] if isinstance(error, SMTPRecipientsRefused) else error
    if answer.code < _PERMANENT:
        raise error
    return f"{answer.code} {answer.message}"
