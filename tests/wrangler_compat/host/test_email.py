"""Mail that a Python Worker sends through its binding ``send_email``."""

from __future__ import annotations

from email import policy
from email.parser import BytesParser
from pathlib import Path

import pytest

from .conftest import RunWorker

pytestmark = pytest.mark.cloudflare("Workers", "Python: `send_email`, `cloudflare:email`", "same")

BEGINNING = """
from js import Object
from pyodide.ffi import to_js
from workers import Response, WorkerEntrypoint, import_from_javascript

WHOLE = "From: a@x.com\\r\\nTo: b@x.com\\r\\nMessage-ID: <1@x>\\r\\nSubject: whole\\r\\n\\r\\nhello"

def js(value):
    return to_js(value, dict_converter=Object.fromEntries)

class Default(WorkerEntrypoint):
    async def fetch(self, request):
        EmailMessage = import_from_javascript("cloudflare:email").EmailMessage
        try:
            await self.env.MAIL.send(%s)
        except Exception as error:
            return Response(str(error))
        return Response("sent")
"""


async def told(run: RunWorker, state: Path, message: str, **options: object) -> str:
    worker = await run(BEGINNING % message, runtime={"storage": str(state)}, send_email=[{"name": "MAIL", **options}])
    return await worker.text()


@pytest.mark.parametrize(
    ("message", "subject", "text"),
    [
        ('EmailMessage.new("a@x.com", "b@x.com", WHOLE)', "whole", "hello"),
        ('EmailMessage.new("a@x.com", "b@x.com", __import__("js").Response.new(WHOLE).body)', "whole", "hello"),
        ('js({"from": "a@x.com", "to": ["b@x.com"], "subject": "parts", "text": "hi"})', "parts", "hi"),
        (
            'js({"from": {"name": "A", "email": "a@x.com"}, "to": "b@x.com", "subject": "s", "html": "<p>hi"})',
            "s",
            "<p>hi",
        ),
    ],
)
async def test_mail_is_sent(run: RunWorker, tmp_path: Path, message: str, subject: str, text: str) -> None:
    state = tmp_path / "state"
    assert await told(run, state, message) == "sent"
    (mail,) = (state / "emails").glob("*.eml")
    parsed = BytesParser(policy=policy.default).parsebytes(mail.read_bytes())
    assert (parsed["X-Envelope-From"], parsed["X-Envelope-To"]) == ("a@x.com", "b@x.com")
    body = parsed.get_body()
    assert body is not None
    assert (parsed["Subject"], body.get_content().strip()) == (subject, text)


@pytest.mark.parametrize(
    ("message", "fault"),
    [
        ('EmailMessage.new("a@x.com", "c@x.com", WHOLE)', "email to c@x.com not allowed"),
        ('js({"to": "b@x.com", "text": "hi"})', "send() takes an EmailMessage, or an object with from"),
        ('js({"from": "a@x.com", "to": "b@x.com"})', "An email needs text=, html= or both."),
        ('EmailMessage.new("a@x.com", "b@x.com", None)', "raw is required"),
        ('EmailMessage.new("a@x.com", "b@x.com", "From: a@x.com\\r\\n\\r\\nhello")', "invalid message-id"),
    ],
)
async def test_what_cannot_be_sent_is_refused(run: RunWorker, tmp_path: Path, message: str, fault: str) -> None:
    state = tmp_path / "state"
    assert fault in await told(run, state, message, allowed_destination_addresses=["b@x.com"])
    assert not (state / "emails").exists()


async def test_attachments_go_with_a_mail(run: RunWorker, tmp_path: Path) -> None:
    message = """js({
        "from": "a@x.com", "to": {"name": "B", "email": "b@x.com"}, "subject": "s", "text": "hi", "attachments": [
            {"disposition": "attachment", "filename": "a.txt", "type": "text/plain", "content": "abc"},
            {"disposition": "inline", "contentId": "c", "filename": "c.png", "type": "image/png", "content": b"123"},
        ],
    })"""
    state = tmp_path / "state"
    assert await told(run, state, message) == "sent"
    (mail,) = (state / "emails").glob("*.eml")
    parsed = BytesParser(policy=policy.default).parsebytes(mail.read_bytes())
    assert parsed["To"] == "B <b@x.com>"
    parts = [
        (part.get_filename(), part.get_content_type(), part.get_content_disposition(), part["Content-ID"])
        for part in parsed.iter_attachments()
    ]
    assert parts == [
        ("a.txt", "text/plain", "attachment", None),
        ("c.png", "image/png", "inline", "<c>"),
    ]
    assert [part.get_payload(decode=True) for part in parsed.iter_attachments()] == [b"abc", b"123"]
