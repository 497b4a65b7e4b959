"""Identity: who a request comes from, as far as the application has found that out.

The hook ``authorise`` gives a request its identity. It goes with the request to the agent, and stays with the WebSocket
that the request opens, also while the agent is not in memory. It is data: it can be sent to another process.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

__all__ = ["ANONYMOUS", "Identity"]


@dataclass(frozen=True, slots=True)
class Identity:
    """Somebody that the application knows: ``subject`` is a user's id, ``claims`` is what else agents may know.

    From ``expires_at`` on it holds no longer: a WebSocket is closed with 4401 then, unless the hook ``renew_identity``
    says otherwise. Its ``repr`` leaves the claims out, so that they do not reach a log by accident.
    """

    subject: str
    claims: Mapping[str, Any] = field(default_factory=dict[str, Any], repr=False)
    """Data only: what ``storage.put`` can keep."""
    expires_at: datetime | None = None

    def __post_init__(self) -> None:
        if self.expires_at is not None and self.expires_at.tzinfo is None:
            raise ValueError("An identity's expires_at needs a time zone: datetime.now(UTC) + timedelta(minutes=5).")

    @property
    def is_anonymous(self) -> bool:
        """Whether this is nobody in particular, whom the application lets in all the same."""
        return not self.subject

    def has_ended(self, now: datetime) -> bool:
        """Return whether it holds no longer at ``now``."""
        return self.expires_at is not None and self.expires_at <= now

    def to_data(self) -> list[Any]:
        """Return it as plain data, for ``from_data``."""
        return [self.subject, dict(self.claims), self.expires_at]

    @classmethod
    def from_data(cls, data: list[Any]) -> Identity:
        """Return what ``to_data`` was asked of."""
        subject, claims, expires_at = data
        return cls(subject, claims, expires_at)


ANONYMOUS = Identity("")
"""What ``authorise`` returns to let somebody in whom it does not know."""
