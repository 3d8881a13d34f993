"""The ways to a customer: mail to a server that takes, defers and refuses, and the log."""

import asyncio
import email
import logging
from collections.abc import AsyncIterator
from email import policy
from typing import Any

import pytest

from orderflow_notification.senders import LogSink
from orderflow_notification.smtp_sender import SmtpSender
from orderflow_runtime.service import OutcomeUnknownError

MESSAGE = {"id": "o1:ORDER_CREATED", "to": "ada@example.org", "name": "Ada ✓", "subject": "We have it", "text": "Soon."}


class MailServer:
    """As much of SMTP as a sender needs; `answers` replaces what a command is answered."""

    def __init__(self) -> None:
        self.answers: dict[str, str] = {}
        self.mails: list[email.message.EmailMessage] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Speak with one client."""
        writer.write(b"220 ready\r\n")
        while line := (await reader.readline()).decode().strip():
            verb = line.split()[0].upper()
            writer.write((self.answers.get(verb) or self._answer(verb)).encode() + b"\r\n")
            if verb == "DATA" and verb not in self.answers:
                await self._receive(reader)
                writer.write(self.answers.get(".", "250 taken").encode() + b"\r\n")
            if verb == "QUIT":
                break
        writer.close()

    def _answer(self, verb: str) -> str:
        return {"DATA": "354 go on", "QUIT": "221 bye"}.get(verb, "250 fine")

    async def _receive(self, reader: asyncio.StreamReader) -> None:
        body = await reader.readuntil(b"\r\n.\r\n")
        self.mails.append(email.message_from_bytes(body[:-5], policy=policy.default))  # type: ignore[arg-type]  # email's stubs lag


@pytest.fixture
async def mail() -> AsyncIterator[tuple[MailServer, SmtpSender]]:
    """A mail server on a free port and a sender to it."""
    server = MailServer()
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    yield server, SmtpSender(f"smtp://127.0.0.1:{port}", "shop@example.org", timeout=5)
    listening.close()
    await listening.wait_closed()


async def send(sender: Any, message: dict[str, str] = MESSAGE) -> Any:
    """Perform the call of one message."""
    return await sender.perform({"messages": [message]}, message["id"])


async def test_mail_carries_the_message_and_an_id_that_repeats(mail: Any) -> None:
    """What is sent twice has the same Message-ID both times, so a repeat can be known."""
    server, sender = mail
    for _ in range(2):
        assert await send(sender) == {"refused": {}}
    first, second = server.mails
    assert first["Message-ID"] == second["Message-ID"] == "<o1.ORDER_CREATED@example.org>"
    assert (first["From"], first["To"], first["Subject"]) == (
        "shop@example.org",
        "Ada ✓ <ada@example.org>",
        "We have it",
    )
    assert "Soon." in first.get_content()


@pytest.mark.parametrize(("verb", "answer"), [("RCPT", "550 no such user"), (".", "554 no spam")])
async def test_refusal_for_good_is_an_outcome(mail: Any, verb: str, answer: str) -> None:
    """A permanent refusal of the message is known, and never tried again."""
    server, sender = mail
    server.answers[verb] = answer
    assert await send(sender) == {"refused": {MESSAGE["id"]: answer}}


@pytest.mark.parametrize(
    ("verb", "answer"),
    [("RCPT", "450 try later"), (".", "451 try later"), ("MAIL", "550 not you"), ("DATA", "421 bye")],
)
async def test_passing_refusal_is_tried_again(mail: Any, verb: str, answer: str) -> None:
    """What may pass, or is no fault of the message, leaves the outcome unknown; a repeat then succeeds."""
    server, sender = mail
    server.answers[verb] = answer
    with pytest.raises(OutcomeUnknownError, match=r"127\.0\.0\.1"):
        await send(sender)
    assert await sender.lookup(MESSAGE["id"]) is None
    server.answers.clear()
    assert await send(sender) == {"refused": {}}


async def test_server_that_is_away_is_tried_again() -> None:
    """Nobody listening is no refusal."""
    with pytest.raises(OutcomeUnknownError):
        await send(SmtpSender("smtp://127.0.0.1:1", "shop@example.org", timeout=1))


@pytest.mark.parametrize("to", ["a@b@c", "ünï@example.org", "<@x", "a;b@x y"])
async def test_address_that_cannot_be_written_is_refused(mail: Any, to: str) -> None:
    """An address that mail cannot carry is refused for good instead of tried for ever."""
    server, sender = mail
    result = await send(sender, MESSAGE | {"to": to})
    assert list(result["refused"]) == [MESSAGE["id"]]
    assert not server.mails


@pytest.mark.parametrize("url", ["mail.example.org", "http://mail.example.org", "smtp://", ""])
def test_url_that_is_no_mail_server_is_refused_at_once(url: str) -> None:
    """A wrong setting is told at the start, with the forms that are right."""
    with pytest.raises(ValueError, match="smtps://host"):
        SmtpSender(url, "shop@example.org")


async def test_log_tells_what_without_to_whom(caplog: pytest.LogCaptureFixture) -> None:
    """The log holds the notification and no personal data."""
    with caplog.at_level(logging.INFO, "orderflow_notification.sent"):
        assert await send(LogSink()) == {"refused": {}}
    assert "o1:ORDER_CREATED" in caplog.text
    assert "ada" not in caplog.text.lower()
