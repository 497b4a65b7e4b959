"""What an agent can do with emails: get, answer and send them."""

from __future__ import annotations

from collections.abc import Mapping
from email.message import EmailMessage
from typing import Any, ClassVar

from edgeagents.agents import Capability, kebab_case
from edgeagents_email.binding import Address, Addresses, format_address
from edgeagents_email.incoming import Action, AgentEmail
from edgeagents_email.signing import sign_agent_headers

__all__ = ["EmailCapability"]

_UNSAID: Any = object()


class EmailCapability(Capability):
    """``agent.email``, with ``agent.reply_to_email`` and ``agent.send_email``."""

    name: ClassVar[str] = "email"
    exports: ClassVar[tuple[str, ...]] = ("reply_to_email", "send_email")
    remote: ClassVar[tuple[str, ...]] = ("receive",)

    async def receive(self, data: Mapping[str, Any]) -> list[Action]:
        """Run the agent's ``on_email`` and return what it decided. ``route_agent_email`` calls this."""
        email = AgentEmail(data["from"], data["to"], data["raw"], data["is_secure"])
        with self.host.acting(email=email):
            self._tell("email:receive", email.from_, email.to, email.headers.get("subject"))
            if self.host.find("on_email") is None:
                self.host.ctx.logger.warning(
                    "%s %r got an email from %s and has no on_email(self, email): it is dropped.",
                    self.host.class_name,
                    self.host.name,
                    email.from_,
                )
                return []
            try:
                await self.host.call("on_email", email)
            except Exception as error:
                await self.host.report(error, None)
                return []
        return email.actions

    async def reply_to_email(
        self,
        email: AgentEmail,
        *,
        from_name: str,
        body: str,
        subject: str | None = None,
        content_type: str = "text/plain",
        headers: Mapping[str, str] | None = None,
        secret: str | None = _UNSAID,
    ) -> None:
        """Answer ``email`` with a text, from the address that it was sent to.

        With ``secret`` the answer carries signed headers, by which a reply to it comes back to this agent. An email
        that came by such a signature must be answered with a ``secret``, or explicitly with None: else ``ValueError``.
        """
        if email.is_secure and secret is _UNSAID:
            raise ValueError(
                "This email was routed via create_secure_reply_email_resolver. Give reply_to_email() a secret to sign "
                "the reply, or secret=None to send it unsigned (not recommended)."
            )
        their_subject = email.headers.get("subject")
        subject = subject or (f"Re: {their_subject}" if their_subject else "No subject")
        message = EmailMessage()
        message["From"] = format_address({"email": email.to, "name": from_name})
        message["To"] = email.from_
        message["Subject"] = subject
        message["Date"] = self.host.ctx.clock.now()
        message["Message-ID"] = f"<{self.host.ctx.rng.getrandbits(80):020x}@{email.to.rpartition('@')[2]}>"
        if "message-id" in email.headers:
            message["In-Reply-To"] = email.headers["message-id"]
            message["References"] = f"{email.headers.get('references', '')} {email.headers['message-id']}".strip()
        for name, value in {**self._identity(None if secret is _UNSAID else secret), **(headers or {})}.items():
            del message[name]
            message[name] = value
        main, _, sub = content_type.partition("/")
        if main != "text":
            raise ValueError(f"The content_type of a reply is text/plain or text/html, not {content_type!r}.")
        message.set_content(body, subtype=sub)
        await email.reply(message.as_bytes())
        self._tell("email:reply", email.to, email.from_, subject)

    async def send_email(
        self,
        *,
        binding: Any,
        from_: Address,
        to: Addresses = (),
        subject: str,
        text: str | None = None,
        html: str | None = None,
        reply_to: Address | None = None,
        cc: Addresses = (),
        bcc: Addresses = (),
        headers: Mapping[str, str] | None = None,
        in_reply_to: str | None = None,
        secret: str | None = None,
    ) -> Any:
        """Send an email through a ``send_email`` binding, such as ``self.env.EMAIL``; return what that returns.

        It carries the agent's name; with ``secret`` signed, so that a reply comes back to this agent.
        """
        if binding is None:
            raise ValueError("binding is required: pass your send_email binding, e.g. binding=self.env.EMAIL.")
        extra = {**(headers or {}), **self._identity(secret)}
        if in_reply_to:
            extra["In-Reply-To"] = in_reply_to
        result = await binding.send(
            from_=from_,
            to=to,
            subject=subject,
            text=text,
            html=html,
            reply_to=reply_to,
            cc=cc,
            bcc=bcc,
            headers=extra,
        )
        self._tell("email:send", from_ if isinstance(from_, str) else from_["email"], to, subject)
        return result

    def _identity(self, secret: str | None) -> dict[str, str]:
        agent_name = kebab_case(self.host.class_name)
        if secret is not None:
            return sign_agent_headers(secret, agent_name, self.host.name, now=self.host.ctx.clock.now())
        return {"X-Agent-Name": agent_name, "X-Agent-ID": self.host.name}

    def _tell(self, kind: str, from_: str, to: Any, subject: str | None) -> None:
        self.host.emit(kind, **{"from": from_, "to": to, "subject": subject})
