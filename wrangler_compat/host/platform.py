"""What the host's modules are installed with: the network, cryptography, caches and the rest of the platform."""

from __future__ import annotations

from wrangler_compat.host.modules import install
from wrangler_compat.host.web.fetching import fetch

__all__ = ["install_platform"]


def install_platform() -> None:
    """Put the host's modules in place, once."""
    install({"fetch": fetch}, {})
