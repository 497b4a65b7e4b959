"""Queues: messages that are handled later, in batches.

| to | look in |
|---|---|
| send | `producer.py` |
| see what a handler is given | `batch.py` |
| see when a batch goes out, and what becomes of it | `consumer.py` |
| take messages over HTTP | `over_http.py` |
| run the handler with a batch of your own | `batch_route.py` |
| see how messages are kept | `store.py` |
| see how it comes into ``env`` | `plugin.py` |
"""

from edgeagents_queues.batch import Message, MessageBatch
from edgeagents_queues.producer import Queue, QueueError

__all__ = ["Message", "MessageBatch", "Queue", "QueueError"]
