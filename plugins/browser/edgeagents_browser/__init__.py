"""A browser for workers: a Chromium of this machine, behind the binding that Cloudflare has for it.

| to | look in |
|---|---|
| see what ``env.BROWSER`` has | `binding.py` |
| find and start a Chromium | `chromium.py` |
| know which browsers run, and when they end | `sessions.py` |
| carry a client's messages to a browser | `relay.py` |
| take a picture of a page | `page.py`, `devtools.py` |
| see how it comes into ``env`` | `plugin.py` |
"""

from edgeagents_browser.binding import Browser
from edgeagents_browser.chromium import BrowserError

__all__ = ["Browser", "BrowserError"]
