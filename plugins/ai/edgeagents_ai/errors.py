"""What goes wrong, by Cloudflare's names."""

from __future__ import annotations

from typing import ClassVar

from edgeagents.errors import EdgeAgentsError

__all__ = ["AiGatewayError", "AiGatewayLogNotFound", "InferenceUpstreamError"]


class InferenceUpstreamError(EdgeAgentsError):
    """A model did not answer. ``code`` is Workers AI's number for the reason, with which the text begins; or None."""

    js_name: ClassVar[str] = "InferenceUpstreamError"

    def __init__(self, message: str, code: int | None = None) -> None:
        self.code = code
        super().__init__(message if code is None else f"{code}: {message}")


class AiGatewayError(EdgeAgentsError):
    """The gateway cannot do what was asked of it."""

    js_name: ClassVar[str] = "AiGatewayInternalError"


class AiGatewayLogNotFound(AiGatewayError):
    """There is no such log: none are kept here."""

    js_name: ClassVar[str] = "AiGatewayLogNotFound"
