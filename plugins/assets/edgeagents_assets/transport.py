"""Who answers first: the worker or its assets."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import date
from typing import Any

from edgeagents.errors import ConfigError
from edgeagents.http import Request, Response
from edgeagents_assets.patterns import Pattern
from edgeagents_assets.serving import Assets

__all__ = ["AssetsFirst", "WorkerFirst"]

NAVIGATION_SINCE = date(2025, 4, 1)
MOST_RULES, LONGEST_RULE = 100, 100


class WorkerFirst:
    """``run_worker_first``: the paths that are the worker's even where an asset has them, and those that are not."""

    def __init__(self, rules: Sequence[str]) -> None:
        if not 1 <= len(rules) <= MOST_RULES or all(rule.startswith("!") for rule in rules):
            raise ConfigError(
                f"assets.run_worker_first has 1 to {MOST_RULES} rules, at least one of which does not begin with '!'."
            )
        for rule in rules:
            if not rule.startswith(("/", "!/")) or len(rule) > LONGEST_RULE:
                raise ConfigError(
                    f"assets.run_worker_first: {rule!r} must begin with '/' or '!/' and have at most {LONGEST_RULE} "
                    "characters."
                )
            if rules.count(rule) > 1:
                raise ConfigError(f"assets.run_worker_first has {rule!r} twice.")
        self._not = [Pattern(rule[1:], names=False) for rule in rules if rule.startswith("!")]
        self._first = [Pattern(rule, names=False) for rule in rules if not rule.startswith("!")]

    def matches(self, path: str) -> bool | None:
        """Return True when ``path`` is the worker's, False when it is the assets', None when no rule says."""
        if any(pattern.match(path) is not None for pattern in self._not):
            return False
        return True if any(pattern.match(path) is not None for pattern in self._first) else None


class AssetsFirst:
    """Answers requests for assets before the worker does. A transport of the runtime."""

    name = "assets"

    def __init__(
        self,
        assets: Assets,
        *,
        run_worker_first: bool | Sequence[str] = False,
        has_worker: bool = True,
        navigation_prefers_assets: bool = True,
    ) -> None:
        self._assets, self._has_worker = assets, has_worker
        self._rules = None if isinstance(run_worker_first, bool) else WorkerFirst(run_worker_first)
        self._always_worker = run_worker_first is True
        self._navigation = navigation_prefers_assets

    @classmethod
    def of(cls, assets: Assets, options: Mapping[str, Any], worker: Any) -> AssetsFirst:
        """Return what the section ``assets`` of the configuration of ``worker`` asks for."""
        flags = worker.compatibility_flags
        since = _date(worker.compatibility_date) if worker.compatibility_date else date.min
        prefers = since >= NAVIGATION_SINCE or "assets_navigation_prefers_asset_serving" in flags
        return cls(
            assets,
            run_worker_first=options.get("run_worker_first", False),
            has_worker=worker.entrypoint is not None or bool(worker.classes),
            navigation_prefers_assets=prefers and "assets_navigation_has_no_effect" not in flags,
        )

    def claims(self, request: Request) -> bool:
        """Return whether the assets are asked: always, unless all is the worker's."""
        return not self._always_worker and not request.is_websocket_upgrade

    async def serve(self, request: Request, fetch: Callable[[Request], Awaitable[Response]]) -> Response:
        """Answer with an asset, or let the worker."""
        said = None if self._rules is None else self._rules.matches(request.path)
        if said is True:
            return await fetch(request)
        is_final = said is False or not self._has_worker
        navigates = self._navigation and request.headers.get("sec-fetch-mode") == "navigate"
        with_not_found = is_final or self._rules is not None or navigates
        answer = await self._assets.answer(request, with_not_found=with_not_found)
        if answer is not None:
            return answer
        return Response(status=404) if is_final else await fetch(request)


def _date(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except (TypeError, ValueError):
        raise ConfigError(f"compatibility_date: {text!r} is not a whole date; write YYYY-MM-DD.") from None
