"""Budgets: how much an agent may spend on models, and what models cost. Data only; ``agents/spending.py`` counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from edgeagents.errors import ConfigError

__all__ = ["Budget", "Price"]


@dataclass(frozen=True, slots=True)
class Price:
    """What a million tokens of a model cost, in the currency of the budget.

    ``cached_input`` is for tokens that the provider had already read; None: the same as ``input``.
    """

    input: float
    output: float
    cached_input: float | None = None


@dataclass(frozen=True, slots=True)
class Budget:
    """How much one agent may spend on models in ``per``, or in its whole life. None is no limit.

    ``turns`` are answers that were asked for, ``tokens`` those that the providers say were used, and ``money`` what
    they come to by ``prices``, which are found by a model's full name (``"openai:gpt-4o"``) or else under ``"*"``.
    An agent that has used one of them up asks no model any more until ``per`` has passed, or until it is resumed.
    """

    turns: int | None = None
    tokens: int | None = None
    money: float | None = None
    per: timedelta | None = None
    prices: Mapping[str, Price] = field(default_factory=dict[str, Price])

    def __post_init__(self) -> None:
        given = [each for each in (self.turns, self.tokens, self.money) if each is not None]
        if not given or min(given) < 0:
            raise ConfigError("A Budget has turns, tokens or money, and none of them is negative.")
        if self.per is not None and self.per <= timedelta():
            raise ConfigError(f"Budget(per={self.per!r}): a budget holds for some time.")
        if self.money is not None and not self.prices:
            raise ConfigError(
                'A Budget of money needs prices: Budget(money=5, prices={"openai:gpt-4o": Price(2.5, 10)}).'
            )

    def price_of(self, model: str) -> Price | None:
        """Return what ``model`` costs, or None when nobody said."""
        return self.prices.get(model) or self.prices.get("*")
