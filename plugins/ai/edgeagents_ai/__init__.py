"""Workers AI: models by Cloudflare's names, answered by the model providers that are installed.

| to | look in |
|---|---|
| see what a binding does | `binding.py` |
| see who answers for a name | `names.py` |
| see what kind of model a name is | `catalogue.py` |
| see what is asked, and how answers look | `asking.py`, `chat.py`, `responses.py`, `texts.py` |
| see where vectors come from | `embeddings.py` |
| let a provider embed or draw | `providers.py` |
| see what the AI Gateway does here | `gateway.py` |
| turn documents into Markdown | `markdown.py` |
| see how it comes into ``env`` | `plugin.py` |
"""

from edgeagents_ai.binding import Ai
from edgeagents_ai.errors import AiGatewayError, AiGatewayLogNotFound, InferenceUpstreamError
from edgeagents_ai.gateway import AiGateway
from edgeagents_ai.providers import Draws, Embeds

__all__ = ["Ai", "AiGateway", "AiGatewayError", "AiGatewayLogNotFound", "Draws", "Embeds", "InferenceUpstreamError"]
