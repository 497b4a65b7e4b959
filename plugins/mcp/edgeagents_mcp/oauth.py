"""OAuth with MCP servers: a flow that may be begun by one request and finished by another, days and restarts apart.

The official package has the protocol: discovery, registration, PKCE, tokens and their renewal. It waits for the user
inside of one request, which an agent cannot: it leaves memory meanwhile. So the flow is left where the user's browser
takes over, with what it needs kept in the agent's storage, and gone on with when the browser comes back.

What that takes of the package is in part not public there (``_initialize``, ``_exchange_token_authorization_code``,
``_handle_token_response``); no other module depends on it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx2
from mcp.client.auth import OAuthClientProvider, OAuthFlowError, PKCEParameters
from mcp.client.auth.utils import validate_authorization_response_iss
from mcp.shared.auth import (
    OAuthClientInformationFull,
    OAuthClientMetadata,
    OAuthMetadata,
    OAuthToken,
    ProtectedResourceMetadata,
)

from edgeagents.objects import nanoid

if TYPE_CHECKING:
    from edgeagents.objects import ObjectContext

__all__ = ["AgentOAuthProvider", "AuthorizationNeeded"]

_STATE_LASTS: Final = timedelta(minutes=10)


class AuthorizationNeeded(Exception):
    """A server wants its user to authorize the agent at ``url`` first."""

    def __init__(self, url: str) -> None:
        self.url = url
        super().__init__("Unauthorized: the user has to authorize the agent first")


class AgentOAuthProvider:
    """The OAuth client of one agent for one server. Tokens and all else are kept in the agent's storage.

    An agent's ``create_mcp_oauth_provider(callback_url)`` may return another: one made with a ``client_id`` (and
    ``client_secret``) that was registered by hand, or a subclass.
    """

    def __init__(
        self,
        ctx: ObjectContext,
        client_name: str,
        callback_url: str,
        *,
        client_id: str | None = None,
        client_secret: str | None = None,
        scope: str | None = None,
        client_metadata_url: str | None = None,
    ) -> None:
        self.client_name, self.callback_url = client_name, callback_url
        self.server_id, self.server_url = "", ""
        self.client_id = client_id
        self.auth_url: str | None = None
        """Where the user authorizes the agent, once a server has asked for that."""
        self._ctx, self._storage = ctx, ctx.storage
        self._secret, self._scope, self._metadata_url = client_secret, scope, client_metadata_url
        self._is_registered_by_hand = client_id is not None
        self._flow: _Flow | None = None

    @property
    def client_metadata(self) -> OAuthClientMetadata:
        """What the agent registers itself as."""
        parts = urlsplit(self.callback_url)
        is_local = parts.hostname in ("localhost", "127.0.0.1", "::1")
        return OAuthClientMetadata.model_validate(
            {
                "client_name": self.client_name,
                "client_uri": f"{parts.scheme}://{parts.netloc}",
                "grant_types": ["authorization_code", "refresh_token"],
                "redirect_uris": [self.callback_url],
                "response_types": ["code"],
                "token_endpoint_auth_method": "none",
                "application_type": "native" if is_local else "web",
                "scope": self._scope,
            }
        )

    def bind(self, server_id: str, server_url: str, client_id: str | None) -> None:
        """Say which server this is for, and what the agent is registered as there, if it is."""
        self.server_id, self.server_url = server_id, server_url
        if client_id and not self._is_registered_by_hand:
            self.client_id = client_id

    def auth(self) -> httpx2.Auth:
        """Return what authenticates requests. It raises ``AuthorizationNeeded`` where a user is needed."""
        if self._flow is None:
            self._flow = _Flow(self, self.client_metadata, self._metadata_url)
        return self._flow

    # The states of flows that have begun

    async def check_state(self, state: str) -> str | None:
        """Return what is wrong with the state that a callback came with, or None."""
        nonce, dot, server_id = state.partition(".")
        if not dot or not nonce or not server_id or "." in server_id:
            return "Invalid state format"
        stored = await self._storage.get(self._state_key(nonce))
        if stored is None:
            return "State not found or already used"
        if stored["serverId"] != server_id:
            await self._storage.delete(self._state_key(nonce))
            return "State serverId mismatch"
        if self._now() - stored["createdAt"] > _STATE_LASTS.total_seconds() * 1000:
            await self._storage.delete([self._state_key(nonce), self._verifier_key(nonce)])
            return "State expired"
        return None

    async def consume_state(self, state: str) -> None:
        """Let no other callback come with this state."""
        await self._storage.delete(self._state_key(state.partition(".")[0]))

    async def complete(self, parameters: Mapping[str, str], http: httpx2.AsyncClient) -> None:
        """Exchange the code that a callback brought for tokens. Raises ``OAuthFlowError``."""
        if error := parameters.get("error"):
            description = parameters.get("error_description")
            raise OAuthFlowError(f"{error}: {description}" if description else error)
        key = self._verifier_key(parameters["state"].partition(".")[0])
        verifier = await self._storage.get(key)
        if verifier is None:
            raise OAuthFlowError("No code verifier found for OAuth state")
        await self._storage.delete(key)
        self._flow = None
        flow = _Flow(self, self.client_metadata, self._metadata_url)
        await flow.exchange(parameters, verifier["verifier"], http)
        self.auth_url = None

    async def clear(self) -> None:
        """Forget everything of this server: what the agent is registered as, tokens, and flows that have begun."""
        keys = list(await self._storage.list(prefix=f"/{self.client_name}/{self.server_id}/"))
        if keys:
            await self._storage.delete(keys)

    # What the official package asks for

    async def get_tokens(self) -> OAuthToken | None:
        """Return the tokens, if there are any."""
        kept = await self._get("token")
        return OAuthToken.model_validate(kept) if kept else None

    async def set_tokens(self, tokens: OAuthToken) -> None:
        """Keep the tokens, and when they expire."""
        value = tokens.model_dump(mode="json", exclude_none=True)
        if tokens.expires_in is not None:
            value["expires_at"] = self._now() + tokens.expires_in * 1000
        await self._put("token", value)

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        """Return what the agent is registered as, if it is."""
        if self._is_registered_by_hand:
            return OAuthClientInformationFull.model_validate(
                {
                    **self.client_metadata.model_dump(mode="json", exclude_none=True),
                    "client_id": self.client_id,
                    "client_secret": self._secret,
                    "token_endpoint_auth_method": "client_secret_post" if self._secret else "none",
                }
            )
        kept = await self._get("client_info/")
        return OAuthClientInformationFull.model_validate(kept) if kept else None

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        """Keep what the agent was registered as."""
        self.client_id = client_info.client_id
        await self._put("client_info/", client_info.model_dump(mode="json", exclude_none=True))

    async def expires_in(self) -> float | None:
        """Return for how many seconds the tokens are good, if that is known."""
        kept = await self._get("token")
        at = (kept or {}).get("expires_at")
        return None if at is None else (at - self._now()) / 1000

    async def discovery(self) -> Mapping[str, Any]:
        """Return what was found out about the server's authorization server."""
        return await self._storage.get(self._discovery_key) or {}

    async def leave(self, url: str, discovered: Mapping[str, Any]) -> str:
        """Keep what the flow needs to go on, and return where the user has to go."""
        nonce, pkce = nanoid(self._ctx.rng), PKCEParameters.generate()
        await self._storage.put(
            {
                self._state_key(nonce): {"nonce": nonce, "serverId": self.server_id, "createdAt": self._now()},
                self._verifier_key(nonce): {"verifier": pkce.code_verifier, "createdAt": self._now()},
                self._discovery_key: dict(discovered),
            }
        )
        parts = urlsplit(url)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        query.update(state=f"{nonce}.{self.server_id}", code_challenge=pkce.code_challenge)
        self.auth_url = parts._replace(query=urlencode(query)).geturl()
        return self.auth_url

    # Keys, as Cloudflare's SDK has them

    @property
    def _discovery_key(self) -> str:
        return f"/{self.client_name}/{self.server_id}/oauth_discovery"

    def _state_key(self, nonce: str) -> str:
        return f"/{self.client_name}/{self.server_id}/state/{nonce}"

    def _verifier_key(self, nonce: str) -> str:
        return self._client_key(f"code_verifier/{nonce}")

    def _client_key(self, name: str) -> str:
        return f"/{self.client_name}/{self.server_id}/{self.client_id}/{name}"

    async def _get(self, name: str) -> dict[str, Any] | None:
        return None if self.client_id is None else await self._storage.get(self._client_key(name))

    async def _put(self, name: str, value: Mapping[str, Any]) -> None:
        await self._storage.put(self._client_key(name), dict(value))

    def _now(self) -> float:
        return self._ctx.clock.now().timestamp() * 1000


class _Left(BaseException):
    """Leaves the package's flow where the user is needed. Not an error: the package would log one."""


class _Flow(OAuthClientProvider):
    """The package's flow, left at the redirect and gone on with by ``exchange``."""

    def __init__(self, provider: AgentOAuthProvider, metadata: OAuthClientMetadata, metadata_url: str | None) -> None:
        super().__init__(
            provider.server_url,
            metadata,
            provider,
            redirect_handler=self._leave,
            callback_handler=_never,
            client_metadata_url=metadata_url,
        )
        self._provider = provider

    async def async_auth_flow(self, request: httpx2.Request) -> AsyncGenerator[httpx2.Request, httpx2.Response]:
        flow = super().async_auth_flow(request)
        try:
            outgoing = await anext(flow)
            while True:
                response = yield outgoing
                outgoing = await flow.asend(response)
        except StopAsyncIteration:
            return
        except _Left:
            raise AuthorizationNeeded(self._provider.auth_url or "") from None
        finally:
            await flow.aclose()

    async def exchange(self, parameters: Mapping[str, str], verifier: str, http: httpx2.AsyncClient) -> None:
        """Do what comes after the user has agreed."""
        await self._initialize()
        validate_authorization_response_iss(parameters.get("iss"), self.context.oauth_metadata)
        request = await self._exchange_token_authorization_code(parameters["code"], verifier)
        await self._handle_token_response(await http.send(request))

    async def _initialize(self) -> None:
        await super()._initialize()
        context, known = self.context, await self._provider.discovery()
        if oauth := known.get("oauth"):
            context.oauth_metadata = OAuthMetadata.model_validate(oauth)
        if resource := known.get("resource"):
            context.protected_resource_metadata = ProtectedResourceMetadata.model_validate(resource)
        context.auth_server_url = known.get("server")
        if known.get("scope") and context.client_metadata.scope is None:
            context.client_metadata.scope = known["scope"]
        if context.current_tokens is not None and (left := await self._provider.expires_in()) is not None:
            # The package counts from when it got them, which was perhaps before the agent slept.
            context.current_tokens.expires_in = int(left)
            context.update_token_expiry(context.current_tokens)

    async def _leave(self, url: str) -> None:
        context = self.context
        await self._provider.leave(
            url,
            {
                "oauth": _json(context.oauth_metadata),
                "resource": _json(context.protected_resource_metadata),
                "server": context.auth_server_url,
                "scope": context.client_metadata.scope,
            },
        )
        raise _Left


async def _never() -> Any:
    raise AssertionError("The flow is left before it waits for the user.")


def _json(model: OAuthMetadata | ProtectedResourceMetadata | None) -> Any:
    return None if model is None else model.model_dump(mode="json", exclude_none=True)
