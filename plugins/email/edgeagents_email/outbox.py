"""Where mail that is sent goes: to an SMTP server, or into a folder, one file each, to be looked at."""

from __future__ import annotations

import asyncio
import logging
import smtplib
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

from edgeagents.errors import ConfigError, EdgeAgentsError

__all__ = ["FolderOutbox", "Outbox", "SmtpOutbox"]

_log = logging.getLogger("edgeagents.email")


class Outbox(Protocol):
    """Takes mail."""

    async def send(self, from_: str, to: list[str], message: bytes, name: str) -> None:
        """Send ``message`` from ``from_`` to all of ``to``. ``name`` is a name for it that was never used."""
        ...


class FolderOutbox:
    """Writes each mail to ``<folder>/<name>.eml``, with its envelope in ``X-Envelope-From`` and ``X-Envelope-To``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    async def send(self, from_: str, to: list[str], message: bytes, name: str) -> None:
        envelope = f"X-Envelope-From: {from_}\r\nX-Envelope-To: {', '.join(to)}\r\n".encode()
        path = self.folder / f"{name}.eml"
        await asyncio.to_thread(self._write, path, envelope + message)
        _log.info("An email from %s to %s is in %s.", from_, ", ".join(to), path)

    def _write(self, path: Path, data: bytes) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with path.open("xb") as file:
            path.chmod(0o600)
            file.write(data)


class SmtpOutbox:
    """Sends through the server of a URL: ``smtp://user:password@host:587`` (STARTTLS), ``smtps://`` or ``smtp://``.

    STARTTLS is used when the server offers it, and demanded when there is a password.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("smtp", "smtps") or not parts.hostname:
            raise ConfigError(
                "The URL of an SMTP server is smtp://user:password@host:port, or smtps:// for TLS at once."
            )
        self._is_tls = parts.scheme == "smtps"
        self._host, self._port = parts.hostname, parts.port or (465 if self._is_tls else 587)
        self._user, self._password = unquote(parts.username or ""), unquote(parts.password or "")

    async def send(self, from_: str, to: list[str], message: bytes, name: str) -> None:
        try:
            await asyncio.to_thread(self._send, from_, to, message)
        except (OSError, smtplib.SMTPException) as error:
            raise EdgeAgentsError(f"The email to {', '.join(to)} could not be sent: {error}") from error

    def _send(self, from_: str, to: list[str], message: bytes) -> None:
        connect = smtplib.SMTP_SSL if self._is_tls else smtplib.SMTP
        with connect(self._host, self._port, timeout=30) as server:
            if not self._is_tls and (self._password or server.has_extn("starttls")):
                server.starttls()
            if self._user:
                server.login(self._user, self._password)
            server.sendmail(from_, to, message)
