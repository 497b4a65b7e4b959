"""Finding the configuration file: its name outranks its nearness."""

from __future__ import annotations

from pathlib import Path

__all__ = ["CONFIG_NAMES", "find_config"]

CONFIG_NAMES = ("wrangler.json", "wrangler.jsonc", "wrangler.toml")


def find_config(start: Path) -> Path | None:
    """Return the configuration that holds for the directory ``start``, or None.

    All directories up to the root are searched for the first name before the second is looked for at all, so a
    ``wrangler.json`` far up the tree beats a ``wrangler.toml`` right here, as with wrangler.
    """
    start = start.resolve()
    for name in CONFIG_NAMES:
        for directory in (start, *start.parents):
            if (directory / name).is_file():
                return directory / name
    return None
