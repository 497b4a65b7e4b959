"""Emails that come in and go out, and what the page in the browser sees of them."""

from __future__ import annotations

import itertools
import json
import re
import shutil
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from typing import Any, cast

import httpx2
import pytest

from tests.examples import Tab, commands_of, http_client, run_command
from tests.servers import Server

pytestmark = [
    pytest.mark.server,
    pytest.mark.cloudflare(
        "Workers",
        "Cloudflare's example `email-agent`",
        "same; mail goes into a folder or to an SMTP server, and the agent's answer has words of its own",
    ),
]

MINE = "mailbox-7f3a@example.com"
_numbers = itertools.count()


def mailbox(name: str = "mailbox-7f3a") -> str:
    return f"/agents/email-service-agent/{name}"


def letter(to: str, *, body: str = "Is anybody there?", **headers: str) -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"] = "Ann <ann@example.org>", to
    message["Message-ID"] = f"<{next(_numbers)}@example.org>"
    for name, value in {"Subject": "Hello", **headers}.items():
        message[name.replace("_", "-")] = value
    message.set_content(body)
    return message


async def bring(server: Server, message: EmailMessage, to: str) -> httpx2.Response:
    async with http_client(server) as http:
        return await http.post(
            "/cdn-cgi/handler/email", params={"from": "ann@example.org", "to": to}, content=message.as_bytes()
        )


def sent(server: Server, to: str) -> list[EmailMessage]:
    """Return what was sent to an address, the oldest first."""
    files = sorted((server.cwd / ".edgeagents").rglob("emails/*.eml"))
    mails = [BytesParser(policy=policy.default).parsebytes(file.read_bytes()) for file in files]
    return [cast("EmailMessage", mail) for mail in mails if mail["X-Envelope-To"] == to]


async def test_a_new_mailbox_is_empty(emulator: Server) -> None:
    async with Tab(emulator, mailbox("new")) as tab:
        state = await tab.until_state(lambda _: True)

    assert state == {"inbox": [], "outbox": [], "totalReceived": 0, "totalSent": 0, "autoReplyEnabled": True}


async def test_an_email_is_kept_shown_and_answered(emulator: Server) -> None:
    async with Tab(emulator, mailbox("ann")) as tab:
        message = letter("ann@example.com")
        message.add_alternative("<p>Is anybody there?</p>", subtype="html")
        response = await bring(emulator, message, "ann@example.com")
        state = await tab.until_state(lambda state: state["totalSent"] == 1)

    assert response.status_code == 200
    (inbound,), (outbound,) = state["inbox"], state["outbox"]
    assert inbound == {
        "id": inbound["id"],
        "direction": "inbound",
        "method": "email-service",
        "simulated": False,
        "secureReply": False,
        "from": "ann@example.org",
        "to": "ann@example.com",
        "subject": "Hello",
        "text": "Is anybody there?",
        "html": inbound["html"],
        "timestamp": state["lastInboundAt"],
        "messageId": message["Message-ID"],
        "headers": inbound["headers"],
    }
    assert inbound["html"].strip() == "<p>Is anybody there?</p>"
    assert inbound["headers"]["subject"] == "Hello"
    assert outbound["text"].startswith(f"Thank you for writing to {MINE}.")
    assert {name: outbound[name] for name in ("direction", "method", "secureReply", "from", "to", "subject")} == {
        "direction": "outbound",
        "method": "reply-to-email",
        "secureReply": True,
        "from": MINE,
        "to": "ann@example.org",
        "subject": "Re: Hello",
    }
    assert outbound["timestamp"] == state["lastOutboundAt"]
    answers = [mail for mail in sent(emulator, "ann@example.org") if mail["In-Reply-To"] == message["Message-ID"]]
    assert [mail["From"].addresses[0].addr_spec for mail in answers] == ["ann@example.com"]


@pytest.mark.parametrize("header", [{"Auto_Submitted": "auto-replied"}, {"Precedence": "bulk"}])
async def test_a_machines_email_is_kept_and_not_answered(emulator: Server, header: dict[str, str]) -> None:
    name = next(iter(header)).lower().replace("_", "-")
    await bring(emulator, letter(f"{name}@example.com", **header), f"{name}@example.com")

    async with Tab(emulator, mailbox(name)) as tab:
        state = await tab.until_state(lambda _: True)

    assert (state["totalReceived"], state["totalSent"]) == (1, 0)


async def test_answers_are_switched_off_and_on(emulator: Server) -> None:
    async with Tab(emulator, mailbox("quiet")) as tab:
        assert await tab.call("toggleAutoReply") is False
        await bring(emulator, letter("quiet@example.com"), "quiet@example.com")
        state = await tab.until_state(lambda state: state["totalReceived"] == 1)
        assert await tab.call("toggleAutoReply") is True

    assert state["outbox"] == []


async def test_a_mail_is_sent_and_its_signed_reply_comes_back_to_the_agent(emulator: Server) -> None:
    mail = {"to": "bob@example.org", "subject": "News", "body": " a < b\nand more "}
    async with Tab(emulator, mailbox("writer")) as tab:
        answer = await tab.call("sendTransactionalEmail", mail)
        (record,) = tab.state["outbox"]
        (written,) = sent(emulator, "bob@example.org")
        signature = {name: value for name, value in written.items() if name.startswith("X-Agent-")}
        # It is sent to the address of another mailbox.
        await bring(emulator, letter("other@example.com", **signature), "other@example.com")
        state = await tab.until_state(lambda state: state["totalReceived"] == 1)

    assert answer == {"ok": True, "messageId": written["Message-ID"]}
    assert (record["text"], record["html"]) == ("a < b\nand more", "a &lt; b<br />and more")
    assert (record["method"], record["secureReply"]) == ("email-service", True)
    assert written["From"] == written["Reply-To"].join(["Email Service Agent <", ">"])
    assert state["inbox"][0]["secureReply"] is True


async def test_a_forged_signature_is_no_way_to_another_mailbox(emulator: Server) -> None:
    forged = {
        "X-Agent-Name": "email-service-agent",
        "X-Agent-ID": "victim",
        "X-Agent-Sig": "AAAA",
        "X-Agent-Sig-Ts": "1790000000",
    }
    await bring(emulator, letter("own@example.com", **forged), "own@example.com")

    async with Tab(emulator, mailbox("victim")) as tab, Tab(emulator, mailbox("own")) as own:
        assert (await tab.until_state(lambda _: True))["totalReceived"] == 0
        assert (await own.until_state(lambda _: True))["inbox"][0]["secureReply"] is False


async def test_without_a_secret_nothing_is_signed(unsigned_emulator: Server) -> None:
    await bring(unsigned_emulator, letter("ann@example.com"), "ann@example.com")

    async with Tab(unsigned_emulator, mailbox("ann")) as tab:
        state = await tab.until_state(lambda _: True)

    (mail,) = sent(unsigned_emulator, "ann@example.org")
    assert mail["X-Agent-Sig"] is None
    assert state["outbox"][0]["secureReply"] is False


@pytest.mark.parametrize(
    ("mail", "error"),
    [
        ({"to": "  ", "subject": "s", "body": "b"}, "Recipient, subject, and body are required before sending email."),
        ({}, "Recipient, subject, and body are required before sending email."),
        ({"to": "nobody", "subject": "s", "body": "b"}, f"configured sender {MINE}. 'nobody' is no email address."),
    ],
)
async def test_a_mail_that_cannot_be_sent_is_an_answer(emulator: Server, mail: dict[str, Any], error: str) -> None:
    async with Tab(emulator, mailbox("clumsy")) as tab:
        answer = await tab.call("sendTransactionalEmail", mail)

    assert answer["ok"] is False
    assert answer["error"].endswith(error)
    assert tab.state["outbox"] == []


async def test_an_error_is_shown_until_something_goes_well(emulator: Server) -> None:
    async with Tab(emulator, mailbox("error")) as tab:
        await tab.call("sendTransactionalEmail", {"to": "nobody", "subject": "s", "body": "b"})
        assert tab.state["lastError"].endswith("'nobody' is no email address.")
        await tab.call("sendTransactionalEmail", {"to": "c@example.org", "subject": "s", "body": "b"})
        assert "lastError" not in tab.state


async def test_the_last_25_are_kept_over_a_kill_and_cleared(unsigned_emulator: Server) -> None:
    async with http_client(unsigned_emulator) as http:
        for number in range(26):
            email = {"from": "a@example.org", "to": "full@example.com", "subject": f"{number}", "body": "b"}
            assert (await http.post("/api/simulate-email", json=email)).status_code == 200
    unsigned_emulator.kill()
    unsigned_emulator.start()

    async with Tab(unsigned_emulator, mailbox("full")) as tab:
        state = await tab.until_state(lambda _: True)
        assert [email["subject"] for email in state["inbox"]] == [f"{number}" for number in range(1, 26)]
        assert (len(state["outbox"]), state["totalReceived"], state["totalSent"]) == (25, 26, 26)
        await tab.call("clearActivity")
        assert tab.state == {"inbox": [], "outbox": [], "totalReceived": 0, "totalSent": 0, "autoReplyEnabled": True}


async def test_a_simulated_email_is_answered_nowhere(emulator: Server) -> None:
    async with http_client(emulator) as http:
        email = {"from": "simulated@example.org", "to": "sim@example.com", "subject": " Hi ", "body": "b"}
        response = await http.post("/api/simulate-email", json=email)
    async with Tab(emulator, mailbox("sim")) as tab:
        state = await tab.until_state(lambda _: True)

    assert response.json() == {"success": True, "routedTo": "sim@example.com"}
    assert (state["inbox"][0]["subject"], state["inbox"][0]["simulated"], state["totalSent"]) == ("Hi", True, 1)
    assert sent(emulator, "simulated@example.org") == []


@pytest.mark.parametrize("body", [b"{", b"[]", b"null", b'{"from": "a@b.c", "subject": " ", "body": "b"}'])
async def test_a_form_that_is_not_filled_in_is_refused(emulator: Server, body: bytes) -> None:
    async with http_client(emulator) as http:
        response = await http.post("/api/simulate-email", content=body)

    assert response.status_code == 400
    assert response.json()["success"] is False


async def test_an_address_that_is_none_is_rejected(emulator: Server) -> None:
    response = await bring(emulator, letter("nobody"), "nobody")

    assert response.status_code == 400
    assert "No EmailServiceAgent mailbox matched nobody." in response.text


async def test_a_page_asks_for_its_mailbox(emulator: Server) -> None:
    async with http_client(emulator) as http:
        response = await http.get("/api/example-config")

    assert response.json() == {"mailboxAddress": MINE, "mailboxId": "mailbox-7f3a"}


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_readmes_commands_do_what_it_says(emulator: Server) -> None:
    brought, simulated, shown = [run_command(command, emulator) for command in commands_of("email-agent")]

    assert brought == "Worker successfully processed email"
    assert json.loads(simulated) == {"success": True, "routedTo": MINE}
    assert re.sub(r" +", " ", shown).splitlines() == [
        "sent: True",
        f"inbound ann@example.org -> {MINE} | Hello",
        f"inbound bob@example.org -> {MINE} | Renewal",
        f"outbound {MINE} -> ann@example.org | Re: Hello",
        f"outbound {MINE} -> bob@example.org | Re: Renewal",
        f"outbound {MINE} -> cy@example.org | News",
    ]
