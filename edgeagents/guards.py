"""Guards: who may come in, as the plugins' hook ``authorise`` says."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from edgeagents.http import Identity, Request, Response
from edgeagents.objects import Clock

__all__ = ["Guards"]


class Guards:
    """Asks every guard about each request from outside. False when there is none: then everybody may come in."""

    def __init__(self, hook: Any, runtime: object, clock: Clock) -> None:
        # Called as they are and not through pluggy, which takes as long as all the rest of a request.
        self._guards = [
            _of_request(each.function, runtime, each.argnames) for each in reversed(hook.authorise.get_hookimpls())
        ]
        self._renew_identity = hook.renew_identity
        self._runtime, self._clock = runtime, clock

    def __bool__(self) -> bool:
        return bool(self._guards)

    async def refusal(self, request: Request) -> Response | None:
        """Ask who ``request`` is from: return the answer to somebody who may not come in, else give it its identity."""
        known: Identity | None = None
        for guard in self._guards:
            answer = guard(request)
            if inspect.isawaitable(answer):
                answer = await answer
            if isinstance(answer, Identity):
                if known is None or known.is_anonymous:
                    known = answer
            elif isinstance(answer, Response):
                return answer
            elif answer is not None:
                raise TypeError(
                    f"authorise() returns an Identity, a Response or None; a plugin returned a {type(answer).__name__}."
                )
        if known is None or (known.expires_at is not None and known.has_ended(self._clock.now())):
            return Response("Unauthorized", status=401)
        request.identity = known
        return None

    @property
    def can_renew(self) -> bool:
        """Whether a plugin knows how an identity goes on that has ended."""
        return bool(self._renew_identity.get_hookimpls())

    async def renew(self, identity: Identity) -> Identity | None:
        """Return the identity with which a client goes on whose own has ended, or None."""
        answer = self._renew_identity(runtime=self._runtime, identity=identity)
        return await answer if inspect.isawaitable(answer) else answer


def _of_request(function: Callable[..., Any], runtime: object, argnames: tuple[str, ...]) -> Callable[[Request], Any]:
    given = {"runtime": runtime} if "runtime" in argnames else {}
    takes_request = "request" in argnames
    if takes_request and not given:
        return function
    return lambda request: function(**given, **({"request": request} if takes_request else {}))
