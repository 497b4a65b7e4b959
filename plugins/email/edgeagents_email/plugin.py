"""What the entry point names."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from edgeagents.agents import Capability
from edgeagents.bindings import BindingType
from edgeagents.hookspecs import hookimpl
from edgeagents_email.binding import SendEmailType
from edgeagents_email.capability import EmailCapability
from edgeagents_email.developer_route import EmailRoute
from edgeagents_email.outbox import FolderOutbox, Outbox, SmtpOutbox

if TYPE_CHECKING:
    from edgeagents.extensions import DeveloperRoute
    from edgeagents.runtime import Runtime

__all__ = ["EmailPlugin", "email_plugin"]


class EmailPlugin:
    """Emails for a runtime: ``Runtime(..., plugins=[EmailPlugin(outbox)])``.

    Without ``outbox`` mail goes to the SMTP server of ``EDGEAGENTS_SMTP_URL``; without that, into the folder ``emails``
    of the state folder, one file each.
    """

    def __init__(self, outbox: Outbox | None = None) -> None:
        self._outbox = outbox

    def outbox(self, runtime: Runtime) -> Outbox:
        """Return where mail of ``runtime`` goes."""
        if self._outbox is not None:
            return self._outbox
        url = os.environ.get("EDGEAGENTS_SMTP_URL")
        if url:
            return SmtpOutbox(url)
        folder = Path(tempfile.gettempdir()) / "edgeagents" if runtime.location is None else Path(runtime.location)
        return FolderOutbox(folder / "emails")

    @hookimpl
    def register_capabilities(self) -> Iterable[type[Capability]]:
        """Let every agent get, answer and send emails."""
        return [EmailCapability]

    @hookimpl
    def register_bindings(self, runtime: Runtime) -> Iterable[BindingType]:
        """Provide ``send_email``."""
        return [SendEmailType(self.outbox(runtime))]

    @hookimpl
    def register_developer_routes(self, runtime: Runtime) -> Iterable[DeveloperRoute]:
        """Take emails at the paths that wrangler has for them."""
        paths = ("/cdn-cgi/local/email", "/cdn-cgi/handler/email")
        return [EmailRoute(path, runtime, self.outbox(runtime)) for path in paths]


email_plugin = EmailPlugin()
