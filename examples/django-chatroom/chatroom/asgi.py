"""The app: Django, with the rooms in front of it."""

from __future__ import annotations

import os

from django.conf import settings
from django.core.asgi import get_asgi_application

from edgeagents import AgentsMiddleware

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "chatroom.settings")
django = get_asgi_application()

# Agents are imported after Django is ready, in case they use its models.
from chatroom.rooms import ChatRoom  # noqa: E402

application = AgentsMiddleware(django, agents=[ChatRoom], storage=settings.STATE)
