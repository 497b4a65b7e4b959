"""An authorization server with an MCP server that it protects, both on loopback and in one app."""

from __future__ import annotations

import base64
import hashlib
from typing import Any
from urllib.parse import urlencode

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Mount, Route

from .loopback import calculator


class Protected:
    """Serves ``/mcp`` to who has a token, and gives tokens to whoever asks, in the way of OAuth 2.1."""

    def __init__(self, *, expires_in: int = 3600) -> None:
        self.expires_in = expires_in
        self.registered: list[dict[str, Any]] = []
        self.codes: dict[str, dict[str, str]] = {}
        self.tokens: set[str] = set()
        self.refreshed = 0
        self.refuses = False
        self._mcp = calculator().streamable_http_app()
        self.app = Starlette(
            lifespan=self._mcp.router.lifespan_context,
            routes=[
                Route("/.well-known/oauth-protected-resource/mcp", self.resource),
                Route("/.well-known/oauth-authorization-server", self.metadata),
                Route("/register", self.register, methods=["POST"]),
                Route("/authorize", self.authorize),
                Route("/token", self.token, methods=["POST"]),
                Mount("/", self.protect),
            ],
        )

    async def protect(self, scope: Any, receive: Any, send: Any) -> None:
        request = Request(scope)
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        if token in self.tokens:
            await self._mcp(scope, receive, send)
            return
        where = f"{_base(request)}/.well-known/oauth-protected-resource/mcp"
        headers = {"www-authenticate": f'Bearer resource_metadata="{where}"'}
        await Response("Unauthorized", 401, headers)(scope, receive, send)

    async def resource(self, request: Request) -> Response:
        return JSONResponse({"resource": f"{_base(request)}/mcp", "authorization_servers": [_base(request)]})

    async def metadata(self, request: Request) -> Response:
        base = _base(request)
        return JSONResponse(
            {
                "issuer": base,
                "authorization_endpoint": f"{base}/authorize",
                "token_endpoint": f"{base}/token",
                "registration_endpoint": f"{base}/register",
                "response_types_supported": ["code"],
                "grant_types_supported": ["authorization_code", "refresh_token"],
                "code_challenge_methods_supported": ["S256"],
                "token_endpoint_auth_methods_supported": ["none", "client_secret_post"],
            }
        )

    async def register(self, request: Request) -> Response:
        asked = await request.json()
        self.registered.append(asked)
        return JSONResponse({**asked, "client_id": f"client-{len(self.registered)}"}, 201)

    async def authorize(self, request: Request) -> Response:
        query = request.query_params
        if self.refuses:
            answer = {"error": "access_denied", "error_description": "No <b>way</b>", "state": query["state"]}
        else:
            code = f"code-{len(self.codes)}"
            self.codes[code] = dict(query)
            answer = {"code": code, "state": query["state"]}
        return RedirectResponse(f"{query['redirect_uri']}?{urlencode(answer)}", 302)

    async def token(self, request: Request) -> Response:
        form = await request.form()
        if form["grant_type"] == "refresh_token":
            self.refreshed += 1
            if not str(form["refresh_token"]).startswith("refresh-"):
                return JSONResponse({"error": "invalid_grant"}, 400)
        else:
            asked = self.codes.pop(str(form["code"]), None)
            digest = hashlib.sha256(str(form["code_verifier"]).encode()).digest()
            challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
            if asked is None or challenge != asked["code_challenge"] or form["client_id"] != asked["client_id"]:
                return JSONResponse({"error": "invalid_grant"}, 400)
        number = len(self.tokens) + 1
        self.tokens.add(f"token-{number}")
        return JSONResponse(
            {
                "access_token": f"token-{number}",
                "token_type": "Bearer",
                "expires_in": self.expires_in,
                "refresh_token": f"refresh-{number}",
            }
        )


def _base(request: Request) -> str:
    return f"{request.url.scheme}://{request.url.netloc}"
