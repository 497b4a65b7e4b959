"""Spending: what an agent has used of its budget, and the breaker that stops it when that is used up.

Counted is what the providers say was used, in the same transaction as the answer is kept, so that a crash forgets
neither or both. An agent that is frozen asks no model any more; all else of it goes on, and no other agent is
concerned. What a turn has begun to say when the breaker opens it says to the end of its step; the next one is not made.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar, Final

from edgeagents.agents.capability import Capability, CapabilityHost
from edgeagents.errors import AgentError, BudgetExceeded
from edgeagents.models.parts import Usage
from edgeagents.objects.alarm_index import from_ms, to_ms
from edgeagents.objects.budget import Budget
from edgeagents.objects.records import record

__all__ = ["SPENDING_KEY", "Spending", "Spent"]

SPENDING_KEY: Final = "cf_agents_spending"
"""What an agent keeps of it stands under this key."""

_MILLION: Final = 1_000_000
_HOOK: Final = "on_budget_exceeded"


@record("spent")
@dataclass(frozen=True, slots=True)
class Spent:
    """What was used since ``since``; it is forgotten at ``until``. None where nothing was used, or there is no end."""

    turns: int = 0
    tokens: int = 0
    money: float = 0.0
    since: datetime | None = None
    until: datetime | None = None


class Spending(Capability):
    """``agent.spending``: what the agent has spent on models, whether it still may, and the way back."""

    name: ClassVar[str] = "spending"
    remote: ClassVar[tuple[str, ...]] = ("freeze", "resume", "spent", "why_frozen")

    def __init__(self, host: CapabilityHost) -> None:
        super().__init__(host)
        self.budget: Budget | None = host.options.budget or host.ctx.limits.budget
        self._loop = asyncio.get_running_loop()
        self._has_warned = False

    # For whoever watches or decides

    def spent(self) -> Spent:
        """Return what was used of the budget, in the time that it is for."""
        kept = self._kept()
        since, per = kept.get("since"), self.budget.per if self.budget is not None else None
        began = None if since is None else from_ms(since)
        return Spent(
            kept.get("turns", 0),
            kept.get("tokens", 0),
            kept.get("money", 0.0),
            began,
            None if began is None or per is None else began + per,
        )

    def why_frozen(self) -> str | None:
        """Return why no model is asked, in words that clients may see; None when the agent is not frozen."""
        return self._kept().get("frozen")

    def freeze(self, reason: str) -> None:
        """Ask no model any more until ``resume``. Clients that want an answer are told ``reason``."""
        self._freeze({**self._kept(), "by_hand": True}, reason)

    def resume(self) -> None:
        """Go on: the budget is whole again, and its time begins now."""
        was_frozen = self.why_frozen() is not None
        if was_frozen or self.spent() != Spent():
            self.host.ctx.storage.kv.delete(SPENDING_KEY)
        if was_frozen:
            self.host.emit("budget:resumed")

    # For what asks models

    def begin_turn(self, model: str, *, is_free: bool = False) -> None:
        """Count a turn that asks ``model``. Raises ``BudgetExceeded`` when it may not be.

        With a budget of money it must have a price, unless it ``is_free``; else ``AgentError`` is raised.
        """
        kept = self._kept()
        self._check(kept)
        budget = self.budget
        if budget is None:
            return
        if budget.money is not None and not is_free and budget.price_of(model) is None:
            raise AgentError(
                f"There is a budget of money, and no price for {model!r}. Give one: "
                f'Budget(prices={{"{model}": Price(input, output)}}), by the million tokens.'
            )
        if budget.turns is not None and kept.get("turns", 0) >= budget.turns:
            self._freeze(kept, self._used_up(f"{budget.turns} turns", kept))
            self._check(kept)
        self._put({**kept, "turns": kept.get("turns", 0) + 1})

    @property
    def is_idle(self) -> bool:
        """Whether there is nothing to count, and nothing that forbids to ask a model."""
        return self.budget is None and self.why_frozen() is None

    def check(self) -> None:
        """Raise ``BudgetExceeded`` when no model may be asked."""
        self._check(self._kept())

    def add(self, model: str, usage: Usage) -> None:
        """Count what a call of ``model`` has used. For what asks models by other means than ``stream_text`` too."""
        budget = self.budget
        if budget is None:
            return
        if usage == Usage() and not self._has_warned:
            self._has_warned = True
            self.host.ctx.logger.warning(
                "The provider of %s does not say what it used: only the turns of the budget of %s %r are counted.",
                model,
                self.host.class_name,
                self.host.name,
            )
        kept = self._kept()
        tokens = kept.get("tokens", 0) + _tokens(usage)
        money = kept.get("money", 0.0) + _cost(budget, model, usage)
        kept = {**kept, "tokens": tokens, "money": money}
        self._put(kept)
        if "frozen" in kept:
            return
        if budget.tokens is not None and tokens >= budget.tokens:
            self._freeze(kept, self._used_up(f"{budget.tokens:,} tokens", kept))
        elif budget.money is not None and money >= budget.money:
            self._freeze(kept, self._used_up(f"{budget.money:,.2f} of money", kept))

    # Keeping

    def _kept(self) -> dict[str, Any]:
        ctx = self.host.ctx
        kept = ctx.storage.kv.get(SPENDING_KEY) if ctx.storage.database.exists else None
        if kept is None:
            return {}
        per = self.budget.per if self.budget is not None else None
        if per is not None and to_ms(ctx.clock.now()) >= kept["since"] + per // timedelta(milliseconds=1):
            # Its time has passed. What somebody has frozen by hand stays so.
            return {name: kept[name] for name in ("frozen", "by_hand") if kept.get("by_hand")}
        return kept

    def _put(self, kept: Mapping[str, Any]) -> None:
        self.host.ctx.storage.kv.put(SPENDING_KEY, {"since": to_ms(self.host.ctx.clock.now()), **kept})

    def _check(self, kept: Mapping[str, Any]) -> None:
        reason = kept.get("frozen")
        if reason is not None:
            raise BudgetExceeded(reason)

    def _used_up(self, what: str, kept: Mapping[str, Any]) -> str:
        assert self.budget is not None
        per = self.budget.per
        if per is None:
            return f"This agent has used up its budget of {what}. It goes on when it is resumed."
        until = from_ms(kept.get("since", to_ms(self.host.ctx.clock.now()))) + per
        return f"This agent has used up its budget of {what}. It goes on at {until:%Y-%m-%d %H:%M:%S} UTC."

    def _freeze(self, kept: dict[str, Any], reason: str) -> None:
        host = self.host
        kept["frozen"] = reason
        self._put(kept)
        spent = {name: kept.get(name, 0) for name in ("turns", "tokens", "money")}
        host.ctx.logger.warning("%s %r is frozen: %s", host.class_name, host.name, reason)
        host.emit("budget:exceeded", reason=reason, **spent)
        if host.find(_HOOK) is None:
            return
        if host.ctx.is_on_loop:
            self._tell(reason)
        else:
            self._loop.call_soon_threadsafe(self._tell, reason)

    def _tell(self, reason: str) -> None:
        self.host.ctx.spawn(self._call_hook(reason), name=_HOOK)

    async def _call_hook(self, reason: str) -> None:
        with self.host.acting():
            try:
                await self.host.call(_HOOK, reason)
            except Exception as error:
                await self.host.report(error, None)


def _tokens(usage: Usage) -> int:
    if usage.total_tokens is not None:
        return usage.total_tokens
    return (usage.input_tokens or 0) + (usage.output_tokens or 0)


def _cost(budget: Budget, model: str, usage: Usage) -> float:
    price = budget.price_of(model)
    if price is None:
        return 0.0
    cached = usage.cached_input_tokens or 0
    fresh = max((usage.input_tokens or 0) - cached, 0)
    of_cached = price.input if price.cached_input is None else price.cached_input
    return (fresh * price.input + cached * of_cached + (usage.output_tokens or 0) * price.output) / _MILLION
