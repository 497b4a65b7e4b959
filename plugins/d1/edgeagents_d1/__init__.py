"""D1: SQLite databases.

| to | look in |
|---|---|
| see what a binding does | `database.py` |
| see what a statement does | `statement.py` |
| see how SQL is run, and its errors | `engine.py` |
| see how rows are counted | `counting.py` |
| see how it comes into ``env`` | `plugin.py` |
"""

from edgeagents_d1.database import D1Database
from edgeagents_d1.engine import D1Error
from edgeagents_d1.statement import D1PreparedStatement

__all__ = ["D1Database", "D1Error", "D1PreparedStatement"]
