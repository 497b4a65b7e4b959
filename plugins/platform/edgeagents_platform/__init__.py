"""Small bindings of Cloudflare's platform, a file each.

| to | look in |
|---|---|
| limit how often something is done | `ratelimit.py` |
| count and measure, and ask about it later | `analytics.py`, `analytics_query.py` |
| know which version runs | `version.py` |
| reach a database | `hyperdrive.py` |
| read a secret of a store | `secrets_store.py` |
| show a certificate to a server | `mtls.py` |
| send records away | `pipelines.py` |
| see what has no local meaning | `cloud_only.py` |
| see how they come into ``env`` | `plugin.py` |
"""

from edgeagents_platform.analytics import AnalyticsEngine
from edgeagents_platform.analytics_query import QueryRefused, query
from edgeagents_platform.cloud_only import NoLocalMeaning
from edgeagents_platform.hyperdrive import Hyperdrive
from edgeagents_platform.mtls import MtlsCertificate
from edgeagents_platform.pipelines import Pipeline
from edgeagents_platform.ratelimit import RateLimit, RateLimitError
from edgeagents_platform.secrets_store import SecretNotFound, StoreSecret

__all__ = [
    "AnalyticsEngine",
    "Hyperdrive",
    "MtlsCertificate",
    "NoLocalMeaning",
    "Pipeline",
    "QueryRefused",
    "RateLimit",
    "RateLimitError",
    "SecretNotFound",
    "StoreSecret",
    "query",
]
