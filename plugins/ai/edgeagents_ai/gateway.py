"""AI Gateway: its one way of asking many providers, and nothing of what Cloudflare keeps for it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final, NoReturn
from urllib.parse import quote

from edgeagents.http import Response
from edgeagents_ai.errors import AiGatewayError, AiGatewayLogNotFound, InferenceUpstreamError

if TYPE_CHECKING:
    from edgeagents_ai.binding import Ai

__all__ = ["AiGateway"]

ACCOUNT: Final = "CLOUDFLARE_ACCOUNT_ID"
_COMPLETIONS: Final = "chat/completions"


class AiGateway:
    """A gateway. Nothing is cached, counted or logged here."""

    js_name: ClassVar[str] = "AiGateway"

    def __init__(self, ai: Ai, gateway_id: str, env: Mapping[str, Any]) -> None:
        self._ai, self._id, self._env = ai, gateway_id, env

    async def get_url(self, provider: str | None = None) -> str:
        """Return the address of the gateway at Cloudflare's, for clients that speak to it themselves.

        Raises ``AiGatewayError`` when the variable ``CLOUDFLARE_ACCOUNT_ID`` does not say whose it is.
        """
        account = self._env.get(ACCOUNT)
        if not account:
            raise AiGatewayError(
                f"The address of the gateway {self._id!r} has the account in it: set {ACCOUNT} in .dev.vars. "
                "Without one, ask through run() of the gateway or of the binding."
            )
        path = "" if provider is None else f"{quote(provider, safe='')}/"
        return f"https://gateway.ai.cloudflare.com/v1/{account}/{quote(self._id, safe='')}/{path}"

    async def run(
        self,
        data: Mapping[str, Any] | Sequence[Mapping[str, Any]],
        *,
        gateway: Mapping[str, Any] | None = None,
        extra_headers: Mapping[str, Any] | None = None,
        signal: Any = None,
    ) -> Response:
        """Ask each of the requests ``{"provider", "endpoint", "headers", "query"}`` until one is answered.

        ``workers-ai`` means the models of the binding, and ``endpoint`` which; of others, and of ``compat``,
        ``chat/completions`` is answered by the model provider of that name. The header ``cf-aig-step`` of the response
        says which request it answers.
        """
        requests = [data] if isinstance(data, Mapping) else list(data)
        if not requests:
            raise AiGatewayError("There is no request in what was given to run().")
        refused = ""
        for step, request in enumerate(requests):
            try:
                answer = await self._ask(request)
            except InferenceUpstreamError as error:
                refused = str(error)
                continue
            return _response(answer, step)
        failure = {"success": False, "result": None, "error": [{"code": 2002, "message": refused}]}
        return Response(json.dumps(failure), status=502, headers={"content-type": "application/json"})

    async def _ask(self, request: Mapping[str, Any]) -> Any:
        provider, endpoint = str(request.get("provider") or ""), str(request.get("endpoint") or "").strip("/")
        query = request.get("query")
        if isinstance(query, str):
            query = json.loads(query)
        if not isinstance(query, Mapping):
            raise InferenceUpstreamError("A request to the gateway needs a query, which is an object.")
        if provider == "workers-ai" and not endpoint.endswith(_COMPLETIONS):
            answer = await self._ai.run(endpoint, query)
            if isinstance(answer, AsyncIterator):
                return answer
            return {"result": answer, "success": True, "errors": [], "messages": []}
        if not endpoint.endswith(_COMPLETIONS):
            raise InferenceUpstreamError(
                f"The gateway here answers {_COMPLETIONS}, not {endpoint!r} of {provider!r}. "
                "What else there is at a provider's, ask with its own package."
            )
        return await self._ai._complete(_name(provider, str(query.get("model") or "")), query)

    async def get_log(self, log_id: str) -> NoReturn:
        """Raise: no logs are kept."""
        raise AiGatewayLogNotFound(f"There is no log {log_id!r}: the gateway {self._id!r} keeps none here.")

    async def patch_log(self, log_id: str, data: Mapping[str, Any] | None = None) -> NoReturn:
        """Raise: no logs are kept."""
        await self.get_log(log_id)


def _name(provider: str, model: str) -> str:
    if provider == "workers-ai":
        return model
    if provider == "compat":
        provider, _, model = model.partition("/")
        if provider == "workers-ai":
            return model
    return f"{provider}:{model}"


def _response(answer: Any, step: int) -> Response:
    fields = {"cf-aig-step": str(step)}
    if isinstance(answer, AsyncIterator):
        return Response(answer, headers={**fields, "content-type": "text/event-stream"})
    return Response(json.dumps(answer, ensure_ascii=False), headers={**fields, "content-type": "application/json"})
