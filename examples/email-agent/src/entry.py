"""A mailbox that is an agent: it keeps what comes, answers, sends, and shows all of it to who looks.

A port of ``examples/email-agent`` of the Agents SDK. With ``EMAIL_SECRET`` its mails are signed, and a reply to one
comes back to the agent that wrote it, whatever address it was sent to.
"""

from __future__ import annotations

import html
from email.message import EmailMessage
from email.utils import parseaddr
from typing import Any, NotRequired, TypedDict, cast
from uuid import uuid4

from edgeagents_email import (
    AgentEmail,
    EmailCapability,
    IncomingEmail,
    create_address_based_email_resolver,
    create_secure_reply_email_resolver,
    is_auto_reply_email,
    route_agent_email,
)

from edgeagents import Agent, Env, Request, Response, WorkerEntrypoint, callable, route_agent_request

KEPT_EMAILS = 25
SENDER_NAME = "Email Service Agent"
SIMULATED = "x-example-simulated"

Record = dict[str, Any]
"""An email as the browser shows it."""


class EmailServiceState(TypedDict):
    """What every client sees. What there is nothing of is left out."""

    inbox: list[Record]
    outbox: list[Record]
    totalReceived: int
    totalSent: int
    autoReplyEnabled: bool
    lastInboundAt: NotRequired[str]
    lastOutboundAt: NotRequired[str]
    lastError: NotRequired[str]


EMPTY: EmailServiceState = {"inbox": [], "outbox": [], "totalReceived": 0, "totalSent": 0, "autoReplyEnabled": True}


class EmailServiceAgent(Agent[Env, EmailServiceState]):
    initial_state = EMPTY

    email: EmailCapability
    """What the plugin gives every agent."""

    async def on_email(self, email: AgentEmail) -> None:
        """Keep an email, and answer it unless a machine wrote it."""
        try:
            record = self.keep_inbound(email)
            if self.state["autoReplyEnabled"] and not is_auto_reply_email(email.headers):
                await self.reply(email, record)
        except Exception as error:
            message = f"Failed to process inbound email. Existing mailbox state was preserved. {error}"
            self.change(lastError=message)
            raise RuntimeError(message) from error

    def keep_inbound(self, email: AgentEmail) -> Record:
        message = email.parse()
        rich = message.get_body(("html",))
        plain = message.get_body(("plain",))
        record = self.record(
            direction="inbound",
            method="email-service",
            simulated=email.headers.get(SIMULATED) == "true",
            secureReply=email.is_secure,
            to=email.to,
            subject=email.headers.get("subject", "").strip() or "(No subject)",
            text=plain.get_content().strip() if plain is not None else "",
            headers=dict(email.headers),
            **{"from": parseaddr(email.headers.get("from", ""))[1] or email.from_},
            **({"html": rich.get_content()} if rich is not None else {}),
            **({"messageId": email.headers["message-id"]} if "message-id" in email.headers else {}),
        )
        self.change(
            inbox=[*self.state["inbox"], record][-KEPT_EMAILS:],
            totalReceived=self.state["totalReceived"] + 1,
            lastInboundAt=record["timestamp"],
        )
        return record

    async def reply(self, email: AgentEmail, inbound: Record) -> None:
        """Answer; signed, if there is a secret to sign with."""
        secret = secret_of(self.env)
        signed = "It is signed: a reply finds this mailbox." if secret else "It is not signed: no EMAIL_SECRET is set."
        text = (
            f"Thank you for writing to {self.env.EMAIL_FROM}.\n\n"
            f"Your email “{inbound['subject']}” is kept in the mailbox {self.name}. "
            f"This answer was written by an agent. {signed}\n"
        )
        await self.email.reply_to_email(email, from_name=SENDER_NAME, body=text, secret=secret)
        self.keep_outbound(
            method="reply-to-email",
            simulated=inbound["simulated"],
            to=inbound["from"],
            subject=f"Re: {inbound['subject']}",
            text=text,
        )

    @callable(description="Send an outbound email with Email Service")
    async def send_transactional_email(self, input: dict[str, str]) -> dict[str, Any]:
        """Send ``{"to", "subject", "body"}``. What goes wrong is an answer too."""
        to, subject, body = (input.get(name, "").strip() for name in ("to", "subject", "body"))
        if not (to and subject and body):
            return {"ok": False, "error": "Recipient, subject, and body are required before sending email."}
        sender = self.env.EMAIL_FROM
        try:
            sent = await self.email.send_email(
                binding=self.env.EMAIL,
                from_={"email": sender, "name": SENDER_NAME},
                reply_to=sender,
                to=to,
                subject=subject,
                text=body,
                html=html_of(body),
                secret=secret_of(self.env),
            )
        except Exception as error:
            message = f"Email Service rejected the send request for configured sender {sender}. {error}"
            self.change(lastError=message)
            return {"ok": False, "error": message}
        self.keep_outbound(
            method="email-service", simulated=False, to=to, subject=subject, text=body, messageId=sent["message_id"]
        )
        return {"ok": True, "messageId": sent["message_id"]}

    @callable(description="Enable or disable automatic replies")
    def toggle_auto_reply(self) -> bool:
        is_enabled = not self.state["autoReplyEnabled"]
        self.set_state({**self.state, "autoReplyEnabled": is_enabled})
        return is_enabled

    @callable(description="Clear the inbox and outbox history")
    def clear_activity(self) -> None:
        self.set_state({**EMPTY, "autoReplyEnabled": self.state["autoReplyEnabled"]})

    def keep_outbound(self, **fields: Any) -> None:
        record = self.record(
            direction="outbound",
            secureReply=secret_of(self.env) is not None,
            html=html_of(fields["text"]),
            headers={},
            **{"from": self.env.EMAIL_FROM},
            **fields,
        )
        self.change(
            outbox=[*self.state["outbox"], record][-KEPT_EMAILS:],
            totalSent=self.state["totalSent"] + 1,
            lastOutboundAt=record["timestamp"],
        )

    def record(self, **fields: Any) -> Record:
        now = self.ctx.clock.now().isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return {"id": str(uuid4()), "timestamp": now, **fields}

    def change(self, **fields: Any) -> None:
        """Change these fields of the state. An error is shown until something goes well."""
        before = {name: value for name, value in self.state.items() if name != "lastError"}
        self.set_state(cast("EmailServiceState", {**before, **fields}))


def secret_of(env: Env) -> str | None:
    return env.get("EMAIL_SECRET", "").strip() or None


def html_of(text: str) -> str:
    return html.escape(text).replace("\n", "<br />")


async def deliver(message: IncomingEmail, env: Env) -> None:
    """Give an email to the agent whose mail it answers, or else to the one that its address names."""
    secret, by_address = secret_of(env), create_address_based_email_resolver("EmailServiceAgent")
    by_signature = create_secure_reply_email_resolver(secret) if secret else None

    def resolve(email: IncomingEmail, env: Env) -> Any:
        signed: Any = by_signature(email, env) if by_signature else None
        return signed or by_address(email, env)

    await route_agent_email(
        message,
        env,
        resolver=resolve,
        on_no_route=lambda email: email.set_reject(
            f"No EmailServiceAgent mailbox matched {email.to}. Update EMAIL_FROM or your routing rule."
        ),
    )


def simulated_email(sender: str, to: str, subject: str, body: str) -> IncomingEmail:
    """Return an email that nobody sent. What the agent answers goes nowhere."""
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = sender, to, subject
    message["Message-ID"] = f"<simulated-{uuid4()}@example.local>"
    message[SIMULATED] = "true"
    message.set_content(body)

    async def nowhere(from_: str, to: str, message: bytes) -> None:
        return None

    return IncomingEmail(sender, to, message.as_bytes(), send=nowhere)


class Default(WorkerEntrypoint[Env]):
    async def email(self, message: IncomingEmail) -> None:
        """Take what the mail server brings."""
        await deliver(message, self.env)

    async def fetch(self, request: Request) -> Response:
        """Answer ``/api/example-config``, ``/api/simulate-email`` and ``/agents/email-service-agent/<mailbox>``."""
        mailbox: str = self.env.EMAIL_FROM
        match request.method, request.path:
            case "GET", "/api/example-config":
                return Response.from_json({"mailboxAddress": mailbox, "mailboxId": mailbox.split("@")[0].lower()})
            case "POST", "/api/simulate-email":
                return await self.simulate(request, mailbox)
            case _:
                return await route_agent_request(request, self.env) or Response("Not found", status=404)

    async def simulate(self, request: Request, mailbox: str) -> Response:
        """Take an email from a form as if it had come in."""
        given = {"to": mailbox}
        try:
            data = await request.json()
            given |= {name: text.strip() for name, text in data.items() if isinstance(text, str) and text.strip()}
            email = simulated_email(given["from"], given["to"], given["subject"], given["body"])
        except (LookupError, ValueError, AttributeError):
            error = "Provide from, subject, and body to simulate an inbound email."
            return Response.from_json({"success": False, "error": error}, status=400)
        await deliver(email, self.env)
        return Response.from_json({"success": True, "routedTo": given["to"]})
