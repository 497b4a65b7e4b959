"""A state folder from outside: its agents listed, copied, carried elsewhere and set back, without a runtime.

What only reads, and what makes an agent that is not there yet, works beside servers that use the folder, in a process
of its own. What replaces something needs the folder for itself, and says so. A copy of an agent is its whole database,
those of its facets, and its alarms; its history stays where it is.

This is what ``edgeagents agent``, ``edgeagents backup`` and ``edgeagents restore`` do.

| to | look in |
|---|---|
| see all that can be done | `folder.py` |
| see what there is of one agent | `stored_agent.py` |
| read and copy database files | `databases.py` |
| put a database where it belongs | `place.py` |
| give a database another content, or an earlier one | `past.py` |
| carry an agent in one file | `archive.py` |
| copy what bindings keep | `others.py` |
"""

from __future__ import annotations

from edgeagents.state_folder.folder import StateFolder
from edgeagents.state_folder.stored_agent import StoredAgent

__all__ = ["StateFolder", "StoredAgent"]
