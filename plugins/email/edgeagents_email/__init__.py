"""Emails: agents that get, answer and send them.

| to | look in |
|---|---|
| see what an agent is given | `incoming.py` |
| bring an email to the right agent | `routing.py`, `resolvers.py` |
| tell a reply to an agent from a forged one | `signing.py` |
| answer and send | `capability.py` |
| say where mail goes | `outbox.py`, `binding.py` |
| see what is not sent, and what is not answered | `rules.py` |
"""

from edgeagents_email.automatic import is_auto_reply_email
from edgeagents_email.capability import EmailCapability
from edgeagents_email.incoming import AgentEmail, EmailRejected, IncomingEmail
from edgeagents_email.outbox import FolderOutbox, Outbox, SmtpOutbox
from edgeagents_email.plugin import EmailPlugin
from edgeagents_email.resolvers import (
    EmailRoute,
    create_address_based_email_resolver,
    create_catch_all_email_resolver,
    create_secure_reply_email_resolver,
)
from edgeagents_email.routing import route_agent_email
from edgeagents_email.rules import EmailRefused
from edgeagents_email.signing import sign_agent_headers

__all__ = [
    "AgentEmail",
    "EmailCapability",
    "EmailPlugin",
    "EmailRefused",
    "EmailRejected",
    "EmailRoute",
    "FolderOutbox",
    "IncomingEmail",
    "Outbox",
    "SmtpOutbox",
    "create_address_based_email_resolver",
    "create_catch_all_email_resolver",
    "create_secure_reply_email_resolver",
    "is_auto_reply_email",
    "route_agent_email",
    "sign_agent_headers",
]
