"""What a bucket refuses."""

from __future__ import annotations

from edgeagents.errors import EdgeAgentsError

__all__ = ["R2Error"]


class R2Error(EdgeAgentsError):
    """A bucket refused an operation. ``code`` is R2's number for the reason; the text ends with it."""

    def __init__(self, operation: str, message: str, code: int) -> None:
        self.code = code
        super().__init__(f"{operation}: {message} ({code})")
