"""A model provider in a screen: ``parrot:...`` says the last thing that the user said, word by word."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from typing import Any

from edgeagents.http import AbortSignal
from edgeagents.models import FinishStep, ModelRequest, Part, TextDelta, TextEnd, TextStart


class Parrot:
    """Answers for every model whose name begins with ``parrot:``."""

    name = "parrot"
    # It can go on where it was interrupted, so an answer survives a restart of the server.
    continues = True

    async def stream(
        self, request: ModelRequest, *, env: Mapping[str, Any], signal: AbortSignal | None
    ) -> AsyncIterator[Part]:
        """Yield the prompt. The parrot needs no key and never tires, so ``env`` and ``signal`` are not looked at."""
        prompt = next((message.text for message in reversed(request.messages) if message.role == "user"), "")
        yield TextStart("said")
        for word in re.findall(r"\s*\S+", prompt[len(request.prefix) :]):
            yield TextDelta("said", word)
        yield TextEnd("said")
        yield FinishStep("stop")
