"""What the generations of Claude allow, read from a model's name.

A name that does not tell its generation belongs to another server that speaks the Messages API: it is asked as the
protocol was for its first years, which all of them know.
"""

from __future__ import annotations

import re
from typing import NamedTuple

__all__ = [
    "Generation",
    "allows_prefill",
    "allows_sampling",
    "default_max_tokens",
    "generation",
]


class Generation(NamedTuple):
    """The version in a model's name: 4 and 5 for ``claude-sonnet-4-5-20250929``."""

    major: int
    minor: int


# A date follows the version in some names and is not a part of it.
_VERSION = re.compile(r"claude-(?:[a-z]+-)?(\d{1,2})(?:[-.](\d{1,2}))?(?!\d)")


def generation(model: str) -> Generation | None:
    """Return the generation of ``model``, or None when its name does not tell."""
    found = _VERSION.search(model)
    return None if found is None else Generation(int(found[1]), int(found[2] or 0))


def allows_prefill(model: str) -> bool:
    """Return whether ``model`` goes on after an unfinished message of its own. Later ones refuse such a request."""
    found = generation(model)
    return found is not None and found < (4, 6)


def allows_sampling(model: str) -> bool:
    """Return whether ``model`` takes a temperature. Later ones refuse a request that has one."""
    found = generation(model)
    return found is None or found < (4, 7)


def default_max_tokens(model: str) -> int:
    """Return the limit for a request that sets none: the protocol insists on one."""
    found = generation(model)
    # Before 4.5 a limit that does not fit into the rest of the context window is refused.
    return 4096 if found is None or found < (4, 5) else 64_000
