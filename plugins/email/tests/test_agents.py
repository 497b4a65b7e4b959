"""Emails reach agents, and what an agent decides is done."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
from edgeagents_email import (
    AgentEmail,
    EmailPlugin,
    EmailRefused,
    IncomingEmail,
    create_address_based_email_resolver,
    create_catch_all_email_resolver,
    create_secure_reply_email_resolver,
    route_agent_email,
)

from edgeagents import Agent, Request, Runtime, WorkerEntrypoint, get_current_agent
from edgeagents.bindings import BindingDeclaration
from edgeagents.errors import ConfigError, EdgeAgentsError
from edgeagents.testing import ManualClock
from edgeagents.worker import Worker

from .conftest import MemoryOutbox

pytestmark = [
    pytest.mark.cloudflare("Email", "`routeAgentEmail`, `onEmail`, `replyToEmail`, `sendEmail`", "same"),
    pytest.mark.cloudflare(
        "Email",
        "when a reject, forward or reply is done",
        "different: when `on_email` has ended well, so an agent that fails half way has sent nothing",
    ),
    pytest.mark.cloudflare("Email", "`send_email` binding", "different: mail goes to an SMTP server or a folder"),
]

RAW = (
    b"From: Ann <ann@example.org>\r\nTo: support@example.com\r\nSubject: Help\r\nMessage-ID: <1@example.org>\r\n"
    b"\r\nIt broke.\r\n"
)


class Support(Agent):
    async def on_email(self, email: AgentEmail) -> None:
        current = get_current_agent()
        text = email.parse().get_body(("plain",))
        assert text is not None
        self.seen = {
            "from": email.from_,
            "to": email.to,
            "text": text.get_content().strip(),
            "size": email.raw_size,
            "raw": await email.get_raw(),
            "is_current": current.email is email and current.agent is self and current.connection is None,
        }
        match email.to.partition("@")[0]:
            case "reject":
                email.set_reject("not here")
            case "forward":
                await email.forward("boss@example.com", {"X-Why": "urgent"})
            case "fail":
                email.set_reject("never told")
                raise RuntimeError("on_email failed")
            case "signed":
                await self.reply_to_email(email, from_name="Support", body="signed", secret="secret")
            case "unsigned":
                await self.reply_to_email(email, from_name="Support", body="plain", secret=None)
            case "unsaid":
                await self.reply_to_email(email, from_name="Support", body="forgotten")
            case _:
                await self.reply_to_email(
                    email, from_name="Support", body="<b>yes</b>", content_type="text/html", headers={"X-Extra": "1"}
                )

    async def last(self) -> Any:
        return self.seen

    async def write(self, **options: Any) -> Any:
        return await self.send_email(
            binding=self.env.get("EMAIL"), **{"from_": "support@example.com", "subject": "News", **options}
        )


class Deaf(Agent):
    pass


class Worker_(WorkerEntrypoint):
    async def email(self, message: IncomingEmail) -> None:
        if message.to == "nobody@example.com":
            message.set_reject("no such user")
        else:
            await route_agent_email(message, self.env, resolver=create_address_based_email_resolver("Support"))


def runtime(outbox: MemoryOutbox | None, *, options: dict[str, Any] | None = None, **more: Any) -> Runtime:
    names = [("Support", "Support"), ("DEAF", "Deaf")]
    bindings = [BindingDeclaration(n, "durable_object_namespace", {"class_name": c}) for n, c in names]
    worker = Worker(
        classes={"Support": Support, "Deaf": Deaf},
        bindings=[*bindings, BindingDeclaration("EMAIL", "send_email", options or {})],
        entrypoint=Worker_,
    )
    more.setdefault("storage", None)
    return Runtime(
        worker, plugins=[EmailPlugin(outbox)], discover_plugins=False, durability="memory", clock=ManualClock(), **more
    )


def incoming(to: str, outbox: MemoryOutbox) -> IncomingEmail:
    async def send(from_: str, to: str, message: bytes) -> None:
        await outbox.send(from_, [to], message, "")

    return IncomingEmail("ann@example.org", to, RAW, send=send)


async def give(running: Runtime, email: IncomingEmail, agent: str = "Support", *, secure: bool = False) -> None:
    resolver = create_catch_all_email_resolver(agent, "x")
    if secure:
        from edgeagents_email import EmailRoute

        await route_agent_email(email, running.env, resolver=lambda *_: EmailRoute(agent, "x", is_secure=True))
    else:
        await route_agent_email(email, running.env, resolver=resolver)


async def test_an_agent_sees_the_email_and_is_its_current_agent(outbox: MemoryOutbox) -> None:
    async with runtime(outbox) as running:
        await give(running, incoming("help@example.com", outbox))
        assert await running.namespaces["Support"].get_by_name("x").last() == {
            "from": "ann@example.org",
            "to": "help@example.com",
            "text": "It broke.",
            "size": len(RAW),
            "raw": RAW,
            "is_current": True,
        }


async def test_a_reply_goes_back_to_the_sender_and_into_the_thread(outbox: MemoryOutbox) -> None:
    async with runtime(outbox) as running:
        await give(running, incoming("help@example.com", outbox))
    assert outbox.sent[0][:2] == ("help@example.com", ["ann@example.org"])
    mail = outbox.last
    assert mail["From"] == "Support <help@example.com>"
    assert mail["Subject"] == "Re: Help"
    assert mail["In-Reply-To"] == mail["References"] == "<1@example.org>"
    assert (mail["X-Agent-Name"], mail["X-Agent-ID"], mail["X-Extra"]) == ("support", "x", "1")
    assert mail.get_content_type() == "text/html"
    assert "X-Agent-Sig" not in mail


async def test_a_signed_reply_finds_its_way_back(outbox: MemoryOutbox) -> None:
    async with runtime(outbox) as running:
        await give(running, incoming("signed@example.com", outbox), secure=True)
        answer = IncomingEmail("ann@example.org", "any@example.com", outbox.sent[-1][2])
        resolve = create_secure_reply_email_resolver("secret", now=running.clock.now)
        route: Any = resolve(answer, running.env)
    assert (route.agent_name, route.agent_id, route.is_secure) == ("support", "x", True)


async def test_an_email_that_came_signed_is_not_answered_unsigned_by_accident(
    outbox: MemoryOutbox, caplog: pytest.LogCaptureFixture
) -> None:
    async with runtime(outbox) as running:
        with pytest.raises(ValueError, match="secret=None to send it unsigned"):
            await give(running, incoming("unsaid@example.com", outbox), secure=True)
        assert outbox.sent == []
        await give(running, incoming("unsigned@example.com", outbox), secure=True)
    assert "X-Agent-Sig" not in outbox.last


async def test_an_agent_may_reject(outbox: MemoryOutbox) -> None:
    async with runtime(outbox) as running:
        email = incoming("reject@example.com", outbox)
        await give(running, email)
    assert email.rejected == "not here"


async def test_an_agent_may_forward(outbox: MemoryOutbox) -> None:
    async with runtime(outbox) as running:
        await give(running, incoming("forward@example.com", outbox))
    assert outbox.sent == [("ann@example.org", ["boss@example.com"], b"X-Why: urgent\r\n" + RAW)]


@pytest.mark.parametrize("headers", [{"Subject": "new"}, {"X-A": "1\r\nBcc: x"}, {"X A": "1"}])
async def test_a_forward_adds_no_headers_but_its_own(headers: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="forwarded email"):
        await AgentEmail("a@b", "c@d", RAW).forward("e@f", headers)


async def test_what_a_handler_that_fails_had_decided_is_not_done(outbox: MemoryOutbox) -> None:
    async with runtime(outbox) as running:
        email = incoming("fail@example.com", outbox)
        with pytest.raises(RuntimeError, match="on_email failed"):
            await give(running, email)
    assert email.rejected is None


async def test_an_agent_without_a_handler_drops_it_with_a_warning(
    outbox: MemoryOutbox, caplog: pytest.LogCaptureFixture
) -> None:
    async with runtime(outbox) as running:
        await give(running, incoming("help@example.com", outbox), "DEAF")
    assert "has no on_email(self, email)" in caplog.text


@pytest.mark.parametrize("name", ["DEAF", "deaf"])
async def test_an_agent_is_found_by_its_binding_in_any_spelling(name: str, outbox: MemoryOutbox) -> None:
    async with runtime(outbox) as running:
        await give(running, incoming("help@example.com", outbox), name)


async def test_an_unknown_agent_is_named_with_those_that_there_are(outbox: MemoryOutbox) -> None:
    async with runtime(outbox) as running:
        with pytest.raises(ConfigError, match=r"'Sales' not found in environment\. Available agents: Support, DEAF"):
            await give(running, incoming("help@example.com", outbox), "Sales")


async def test_an_email_for_nobody_is_dropped_or_given_to_the_callback(
    outbox: MemoryOutbox, caplog: pytest.LogCaptureFixture
) -> None:
    async with runtime(outbox) as running:
        email = incoming("help@example.com", outbox)
        await route_agent_email(email, running.env, resolver=lambda *_: None)
        assert "it is dropped" in caplog.text
        await route_agent_email(
            email, running.env, resolver=lambda *_: None, on_no_route=lambda e: e.set_reject("nobody")
        )
    assert email.rejected == "nobody"


async def test_in_an_app_the_runtime_around_the_code_is_enough(outbox: MemoryOutbox) -> None:
    async with runtime(outbox) as running:
        with running.in_context():
            resolver = create_catch_all_email_resolver("Support", "x")
            await route_agent_email(incoming("help@example.com", outbox), resolver=resolver)
    assert len(outbox.sent) == 1


async def test_emails_are_told_to_those_who_observe(outbox: MemoryOutbox) -> None:
    seen: list[tuple[str, dict[str, Any]]] = []
    async with runtime(outbox) as running:
        running.events.subscribe("agents:email", lambda event: seen.append((event.type, dict(event.payload))))
        await give(running, incoming("help@example.com", outbox))
        await running.namespaces["Support"].get_by_name("x").write(to="b@example.org", text="hi")
    assert seen == [
        ("email:receive", {"from": "ann@example.org", "to": "help@example.com", "subject": "Help"}),
        ("email:reply", {"from": "help@example.com", "to": "ann@example.org", "subject": "Re: Help"}),
        ("email:send", {"from": "support@example.com", "to": "b@example.org", "subject": "News"}),
    ]


# Sending


async def test_an_agent_sends_through_its_binding(outbox: MemoryOutbox) -> None:
    async with runtime(outbox) as running:
        stub = running.namespaces["Support"].get_by_name("x")
        sent = await stub.write(
            to=["b@example.org"],
            cc="c@example.org",
            bcc="d@example.org",
            text="hi",
            html="<p>hi</p>",
            reply_to={"email": "r@example.com", "name": "R"},
            from_={"email": "support@example.com", "name": "Süpport"},
            in_reply_to="<0@example.org>",
            secret="secret",
        )
    assert outbox.sent[0][:2] == ("support@example.com", ["b@example.org", "c@example.org", "d@example.org"])
    mail = outbox.last
    assert mail["Message-ID"] == sent["message_id"]
    assert (mail["To"], mail["Cc"], mail["Bcc"]) == ("b@example.org", "c@example.org", None)
    assert (mail["From"], mail["Reply-To"]) == ("Süpport <support@example.com>", "R <r@example.com>")
    assert (mail["In-Reply-To"], mail["X-Agent-Name"]) == ("<0@example.org>", "support")
    assert mail["X-Agent-Sig"]
    assert [part.get_content_type() for part in mail.iter_parts()] == ["text/plain", "text/html"]


@pytest.mark.parametrize(
    ("options", "message", "fault"),
    [
        ({"destination_address": "boss@example.com"}, {"to": "b@example.org"}, "email to b@example.org not allowed"),
        ({"allowed_destination_addresses": ["a@b"]}, {"to": "b@example.org"}, "email to b@example.org not allowed"),
        ({"allowed_sender_addresses": ["a@b"]}, {"to": "b@c"}, "email from support@example.com not allowed"),
        ({}, {}, "needs a recipient"),
        ({}, {"to": "nobody"}, "'nobody' is no email address"),
        ({}, {"to": "a@b\r\nBcc: c@d"}, "is no email address"),
        ({}, {"to": "a@b", "text": None}, "needs text="),
    ],
)
async def test_a_mail_that_may_not_go_is_refused(
    options: dict[str, Any], message: dict[str, Any], fault: str, outbox: MemoryOutbox
) -> None:
    async with runtime(outbox, options=options) as running:
        stub = running.namespaces["Support"].get_by_name("x")
        with pytest.raises((ValueError, EdgeAgentsError), match=fault):
            await stub.write(**{"text": "hi", **message})
    assert outbox.sent == []


async def test_a_fixed_destination_need_not_be_given(outbox: MemoryOutbox) -> None:
    async with runtime(outbox, options={"destination_address": "boss@example.com"}) as running:
        await running.namespaces["Support"].get_by_name("x").write(text="hi")
    assert outbox.sent[0][1] == ["boss@example.com"]


async def test_two_kinds_of_destination_are_an_error(outbox: MemoryOutbox) -> None:
    options = {"destination_address": "a@b", "allowed_destination_addresses": ["c@d"]}
    with pytest.raises(ConfigError, match="Keep one of them"):
        async with runtime(outbox, options=options):
            pass


async def test_without_a_server_mail_is_a_file_in_the_state_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("EDGEAGENTS_SMTP_URL", raising=False)
    caplog.set_level(logging.INFO)
    async with runtime(None, storage=tmp_path) as running:
        await running.namespaces["Support"].get_by_name("x").write(to="b@example.org", text="hi")
    files = list((tmp_path / "emails").glob("*.eml"))
    assert len(files) == 1
    assert files[0].read_bytes().startswith(b"X-Envelope-From: support@example.com\r\nX-Envelope-To: b@example.org\r\n")
    assert str(files[0]) in caplog.text


@pytest.mark.parametrize("url", ["http://host", "smtp://", "host:25"])
async def test_a_url_that_is_no_smtp_server_is_told(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEAGENTS_SMTP_URL", url)
    with pytest.raises(ConfigError, match="The URL of an SMTP server"):
        async with runtime(None):
            pass


# The emulator's mailbox


@pytest.mark.parametrize("path", ["/cdn-cgi/local/email", "/cdn-cgi/handler/email"])
async def test_a_post_runs_the_workers_handler(path: str, outbox: MemoryOutbox) -> None:
    async with runtime(outbox) as running:
        request = Request(f"{path}?from=ann@example.org&to=x@example.com", method="POST", body=RAW)
        response = await running.fetch(request)
        assert (response.status, await response.text()) == (200, "Worker successfully processed email")
        assert (await running.namespaces["Support"].get_by_name("x").last())["text"] == "It broke."
    assert outbox.sent[0][:2] == ("x@example.com", ["ann@example.org"])


@pytest.mark.parametrize(
    ("query", "body", "status", "text"),
    [
        ("from=a@b&to=nobody@example.com", RAW, 400, "rejected email with the following reason: no such user"),
        ("to=a@b", RAW, 400, "parameters specifying the `from` and `to` addresses"),
        ("from=a@b&to=c@d", b"", 400, "an email in the body"),
        ("from=a@b&to=c@d", b"Subject: x\r\n\r\nhi", 400, "no message id provided"),
        ("from=a@b&to=c@d", b"x" * (1024 * 1024 + 1), 400, "larger than"),
    ],
    ids=["rejected", "no sender", "empty", "no id", "large"],
)
async def test_what_is_no_mail_is_refused(
    query: str, body: bytes, status: int, text: str, outbox: MemoryOutbox
) -> None:
    async with runtime(outbox) as running:
        response = await running.fetch(Request(f"/cdn-cgi/handler/email?{query}", method="POST", body=body))
        assert response.status == status
        assert text in await response.text()


async def test_an_answer_refers_to_all_of_the_exchange(outbox: MemoryOutbox) -> None:
    later = RAW.replace(b"\r\n\r\n", b"\r\nIn-Reply-To: <0@example.org>\r\nReferences: <0@example.org>\r\n\r\n", 1)
    async with runtime(outbox) as running:
        request = Request("/cdn-cgi/handler/email?from=ann@example.org&to=x@example.com", method="POST", body=later)
        assert (await running.fetch(request)).status == 200
    mail = outbox.last
    assert (mail["In-Reply-To"], mail["References"]) == ("<1@example.org>", "<0@example.org> <1@example.org>")


async def test_what_a_machine_has_written_is_not_answered(outbox: MemoryOutbox) -> None:
    automatic = RAW.replace(b"\r\n\r\n", b"\r\nAuto-Submitted: auto-replied\r\n\r\n", 1)
    sent: list[tuple[str, str, bytes]] = []

    async def send(from_: str, to: str, message: bytes) -> None:
        sent.append((from_, to, message))

    email = IncomingEmail("ann@example.org", "x@example.com", automatic, send=send)
    with pytest.raises(EmailRefused, match="Original email is not replyable: a machine has written it"):
        await email.reply(b"From: x@example.com\r\nMessage-ID: <2@example.com>\r\n\r\nhi")
    assert sent == []


async def test_an_attachment_goes_with_a_mail(outbox: MemoryOutbox) -> None:
    async with runtime(outbox) as running:
        attached = {"filename": "a.txt", "type": "text/plain", "content": b"abc"}
        await running.env["EMAIL"].send(
            from_={"email": "a@b.c", "name": "A"}, to={"email": "d@e.f", "name": "D"}, text="hi", attachments=[attached]
        )
    (part,) = outbox.last.iter_attachments()
    assert (part.get_filename(), part.get_content_type(), part.get_payload(decode=True)) == (
        "a.txt",
        "text/plain",
        b"abc",
    )
    assert outbox.last["To"] == "D <d@e.f>"
