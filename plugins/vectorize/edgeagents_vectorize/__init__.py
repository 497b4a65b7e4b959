"""Vectorize: indexes of vectors, searched for what is nearest.

| to | look in |
|---|---|
| see what a binding does | `index.py` |
| see what is refused, and how | `checks.py` |
| see what a filter means | `filters.py` |
| see how vectors are kept and compared | `store.py`, `nearest.py` |
| see how it comes into ``env`` | `plugin.py` |
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgeagents_vectorize.checks import InvalidOption, VectorizeError

if TYPE_CHECKING:
    from edgeagents_vectorize.index import VectorizeIndex

__all__ = ["InvalidOption", "VectorizeError", "VectorizeIndex"]


def __getattr__(name: str) -> Any:
    # numpy takes a tenth of a second to import: only who uses an index waits for it.
    if name == "VectorizeIndex":
        from edgeagents_vectorize.index import VectorizeIndex

        return VectorizeIndex
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
