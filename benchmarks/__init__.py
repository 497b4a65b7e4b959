"""What edgeagents costs: the same work done by a bare ASGI app and by an agent, on the same server, in the same run.

``python -m benchmarks`` runs all of it. Nothing here is part of the product.
"""
