"""Pages: a view of Django that asks an agent, async and sync."""

from __future__ import annotations

from typing import Any

from asgiref.sync import async_to_sync
from django.http import HttpRequest, JsonResponse
from django.urls import path

from chatroom.rooms import ChatRoom
from edgeagents import get_agent_by_name


async def history(request: HttpRequest, name: str) -> JsonResponse:
    room: Any = await get_agent_by_name(ChatRoom, name)
    return JsonResponse({"said": await room.history()})


def say(request: HttpRequest, name: str) -> JsonResponse:
    """A sync view reaches an agent too."""

    async def tell() -> int:
        room: Any = await get_agent_by_name(ChatRoom, name)
        return await room.say(request.POST["name"], request.POST["text"])

    return JsonResponse({"id": async_to_sync(tell)()})


urlpatterns = [path("rooms/<str:name>/", history), path("rooms/<str:name>/say", say)]
