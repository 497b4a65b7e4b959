"""What an object gives to a binding leaves when the object's own writes are kept: a crash cannot undo its cause."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest
from edgeagents_d1 import plugin as d1
from edgeagents_kv import plugin as kv
from edgeagents_queues import plugin as queues
from edgeagents_r2 import plugin as r2

from edgeagents import DurableObject, Runtime
from edgeagents.bindings import BindingDeclaration
from edgeagents.testing import settle
from edgeagents.worker import Worker
from tests.slow_disk import disk as disk

pytestmark = pytest.mark.cloudflare(
    "Durable Objects", "calls of stubs and bindings wait for the writes before them", "same"
)

BINDINGS = {"KV": "kv_namespace", "R2": "r2_bucket", "QUEUE": "queue", "D1": "d1"}


class Order(DurableObject):
    async def place(self, binding: str) -> None:
        self.ctx.storage.kv.put("order", binding)
        match binding:
            case "KV":
                await self.env.KV.put("order", "placed")
            case "R2":
                await self.env.R2.put("order", b"placed")
            case "QUEUE":
                await self.env.QUEUE.send("placed")
            case "D1":
                await self.env.D1.prepare("INSERT INTO orders VALUES ('placed')").run()


async def arrived(env, binding: str) -> int:
    match binding:
        case "KV":
            return len((await env.KV.list())["keys"])
        case "R2":
            return len((await env.R2.list())["objects"])
        case "QUEUE":
            return (await env.QUEUE.metrics())["backlogCount"]
        case _:
            return await env.D1.prepare("SELECT count(*) AS n FROM orders").first("n")


@pytest.mark.parametrize("binding", BINDINGS)
async def test_it_leaves_when_the_order_is_kept(binding: str, tmp_path: Path, disk: threading.Event) -> None:
    worker = Worker(
        "w",
        classes={"Order": Order},
        bindings=[
            BindingDeclaration("ORDERS", "durable_object_namespace", {"class_name": "Order"}),
            *(BindingDeclaration(name, kind) for name, kind in BINDINGS.items()),
        ],
    )
    plugins = [d1, kv, queues, r2]
    async with Runtime(worker, storage=tmp_path, plugins=plugins, discover_plugins=False, durability="full") as runtime:
        await runtime.env.D1.exec("CREATE TABLE orders (what TEXT)")
        placing = asyncio.ensure_future(runtime.env.ORDERS.get_by_name("a").place(binding))
        await settle()
        assert await arrived(runtime.env, binding) == 0
        disk.set()
        await placing
        assert await arrived(runtime.env, binding) == 1
