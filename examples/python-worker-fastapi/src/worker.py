"""A FastAPI app as a Python Worker. Its routes reach the worker's bindings through the request's scope."""

import json

import asgi
from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field
from workers import WorkerEntrypoint

app = FastAPI()


class Item(BaseModel):
    name: str
    price: float = Field(gt=0)


@app.get("/")
async def shop(request: Request):
    return {"shop": request.scope["env"].SHOP}


@app.put("/items/{number}")
async def put_item(number: int, item: Item, request: Request):
    await request.scope["env"].ITEMS.put(str(number), item.model_dump_json())
    return item


@app.get("/items/{number}")
async def get_item(number: int, request: Request):
    found = await request.scope["env"].ITEMS.get(str(number))
    if found is None:
        raise HTTPException(404, f"There is no item {number}.")
    return json.loads(found)


@app.get("/prices")
async def prices(request: Request):
    items = request.scope["env"].ITEMS

    async def lines():
        for key in (await items.list())["keys"]:
            item = json.loads(await items.get(key["name"]))
            yield f"{item['name']}: {item['price']:.2f}\n"

    return StreamingResponse(lines(), media_type="text/plain")


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        return await asgi.fetch(app, request.js_object, self.env)
