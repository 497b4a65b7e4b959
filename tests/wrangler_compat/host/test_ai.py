"""Workers AI from a Python Worker on Cloudflare's SDK."""

from __future__ import annotations

import json

import pytest

from .conftest import RunWorker

pytestmark = pytest.mark.cloudflare("Workers", "Python: Workers AI", "same")

SOURCE = """
    import js
    from workers import Response, WorkerEntrypoint

    class Default(WorkerEntrypoint):
        async def fetch(self, request):
            ai = self.env.AI
            match request.url.rpartition("/")[2]:
                case "chat":
                    answer = await ai.run("@cf/meta/llama-3.1-8b-instruct", {"prompt": "hi", "max_tokens": 4})
                    return Response.json([answer["response"], answer["usage"]["completion_tokens"]])
                case "keywords":
                    answer = await ai.run("@cf/meta/llama-3.1-8b-instruct", prompt="hi", max_tokens=4)
                    said = [{"role": "user", "content": "hi"}]
                    streamed = await ai.run("@cf/meta/llama-3.1-8b-instruct", messages=said, stream=True, max_tokens=2)
                    text = await Response(streamed).text()
                    return Response.json([answer["usage"]["completion_tokens"], text])
                case "raw":
                    # As langchain-cloudflare asks.
                    payload = js.JSON.parse('{"messages": [{"role": "user", "content": "hi"}]}')
                    answer = await ai.run("@cf/meta/llama-3.3-70b-instruct-fp8-fast", payload)
                    return Response(answer["response"])
                case "responses":
                    answer = await ai.run("@cf/openai/gpt-oss-120b", {"instructions": "be brief", "input": "hi"})
                    return Response.json(answer.output)
                case "stream":
                    inputs = {"prompt": "hi", "stream": True, "max_tokens": 2}
                    answer = await ai.run("@cf/meta/llama-3.1-8b-instruct", inputs)
                    return Response(answer, headers={"content-type": "text/event-stream"})
                case "embed":
                    answer = await ai.run("@cf/baai/bge-base-en-v1.5", {"text": ["a", "b"]})
                    return Response.json([answer["shape"], len(answer["data"][0]), answer["pooling"]])
                case "gateway":
                    request = {"provider": "workers-ai", "endpoint": "@cf/meta/llama-3.1-8b-instruct",
                               "headers": {}, "query": {"prompt": "hi"}}
                    response = await ai.gateway("mine").run(request)
                    return Response.json([response.status, list((await response.json()).keys())])
                case "error":
                    try:
                        await ai.run("@cf/nothing", {"prompt": "hi"})
                    except Exception as error:
                        return Response(f"{error.name}: {error.message}")
"""


async def test_models_answer_a_worker(run: RunWorker) -> None:
    worker = await run(SOURCE, ai={"binding": "AI"})
    text, used = json.loads(await worker.text("/chat"))
    assert text.startswith("(This is")
    assert used == 4
    used, streamed = json.loads(await worker.text("/keywords"))
    assert used == 4
    assert streamed.endswith("data: [DONE]\n\n")
    assert "offline model" in await worker.text("/raw")
    (message,) = json.loads(await worker.text("/responses"))
    assert message["content"][0]["type"] == "output_text"
    streamed = await worker.text("/stream")
    assert streamed.startswith('data: {"response":"')
    assert streamed.endswith("data: [DONE]\n\n")
    assert json.loads(await worker.text("/embed")) == [[2, 768], 768, "mean"]
    assert json.loads(await worker.text("/gateway")) == [200, ["result", "success", "errors", "messages"]]
    assert await worker.text("/error") == "InferenceUpstreamError: 5007: No such model @cf/nothing or task"
