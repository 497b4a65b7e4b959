"""What the host's modules are installed with: the network, WebSockets, caches and the rest of the platform."""

from __future__ import annotations

from wrangler_compat.host.modules import install

__all__ = ["install_platform"]


def install_platform() -> None:
    """Put the host's modules in place, once."""
    install({}, {})
