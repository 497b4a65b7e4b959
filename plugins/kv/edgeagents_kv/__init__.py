"""Workers KV: key-value namespaces.

| to | look in |
|---|---|
| see what a binding does | `namespace.py` |
| see what is refused, and how | `checks.py` |
| see how it comes into ``env`` | `plugin.py` |
"""

from edgeagents_kv.checks import KvError
from edgeagents_kv.namespace import KvNamespace

__all__ = ["KvError", "KvNamespace"]
