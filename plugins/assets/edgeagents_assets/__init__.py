"""Static assets: the files that a worker is deployed with, served as Cloudflare serves them.

| to | look in |
|---|---|
| see which file a path means | `site.py` |
| see what is answered | `serving.py` |
| read `_redirects` and `_headers` | `redirects.py`, `header_rules.py`, `patterns.py` |
| see who answers first, the worker or the assets | `transport.py` |
"""

from edgeagents_assets.serving import Assets
from edgeagents_assets.site import Site

__all__ = ["Assets", "Site"]
