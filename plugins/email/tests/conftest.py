"""An outbox that keeps what it is given, and a mail."""

from __future__ import annotations

from dataclasses import dataclass, field
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from typing import cast

import pytest


@dataclass
class MemoryOutbox:
    sent: list[tuple[str, list[str], bytes]] = field(default_factory=list[tuple[str, list[str], bytes]])

    async def send(self, from_: str, to: list[str], message: bytes, name: str) -> None:
        self.sent.append((from_, to, message))

    @property
    def last(self) -> EmailMessage:
        return cast("EmailMessage", BytesParser(policy=policy.default).parsebytes(self.sent[-1][2]))


@pytest.fixture
def outbox() -> MemoryOutbox:
    return MemoryOutbox()
