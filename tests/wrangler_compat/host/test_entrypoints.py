"""Handlers of Python Workers: classes, functions of the old form, what is scheduled, errors."""

from __future__ import annotations

import asyncio
import logging
from datetime import datetime

import pytest
from edgeagents_email.incoming import IncomingEmail
from edgeagents_emulator.log import user_traceback

from edgeagents import Request
from edgeagents.testing import ManualClock, settle

from .conftest import RunWorker

pytestmark = pytest.mark.cloudflare("Workers", "Python: handlers as classes and as functions, cron triggers", "same")

OLD = "2025-01-01"

CRON = """
    from workers import Response, WorkerEntrypoint

    ran = []

    class Default(WorkerEntrypoint):
        async def scheduled(self, controller, env, ctx):
            ran.append(f"{controller.cron} {controller.scheduledTime} {controller.type} {env} {ctx}")
            if controller.cron == "fail":
                controller.noRetry()
                raise ValueError("not today")

        async def fetch(self):
            return Response("; ".join(ran))
"""


async def test_a_cron_trigger_runs_at_its_times(run: RunWorker) -> None:
    clock = ManualClock()
    worker = await run(CRON, triggers={"crons": ["*/5 * * * *", "0 1 * * 5"]}, runtime={"clock": clock})
    start = clock.now().timestamp()
    for _ in range(11):
        await clock.advance(60)
        await settle()
    assert await worker.text() == (
        f"*/5 * * * * {int(start + 300) * 1000} scheduled None None; "
        f"*/5 * * * * {int(start + 600) * 1000} scheduled None None"
    )


async def test_weekdays_are_counted_from_sunday_as_the_first(run: RunWorker) -> None:
    # The first of January 2026 is a Thursday: the fifth day.
    clock = ManualClock(datetime.fromisoformat("2026-01-01T00:59:00+00:00"))
    worker = await run(CRON, triggers={"crons": ["0 1 * * 5", "0 1 * * 4", "0 1 * * thu"]}, runtime={"clock": clock})
    await clock.advance(60)
    await settle()
    assert [one.rpartition(" 17")[0] for one in (await worker.text()).split("; ")] == ["0 1 * * 5", "0 1 * * thu"]


@pytest.mark.parametrize("path", ["/cdn-cgi/handler/scheduled", "/cdn-cgi/local/scheduled", "/__scheduled"])
async def test_what_is_scheduled_can_be_run_by_hand(run: RunWorker, path: str) -> None:
    worker = await run(CRON)
    assert await worker.text(f"{path}?cron=*+*+*+*+*&time=1000") == "ok"
    assert await worker.text() == "* * * * * 1000 scheduled None None"
    failed = await worker.fetch(f"{path}?cron=fail&format=json")
    assert (failed.status, await failed.text()) == (500, '{"outcome":"exception","noRetry":true}')


async def test_what_is_scheduled_by_hand_is_at_a_whole_millisecond(run: RunWorker) -> None:
    clock = ManualClock(datetime.fromisoformat("2026-01-01T00:00:00.123456+00:00"))
    worker = await run(CRON, runtime={"clock": clock})
    await worker.text("/__scheduled?cron=0+0+1+1+*")
    assert await worker.text() == "0 0 1 1 * 1767225600123 scheduled None None"


async def test_an_expression_that_is_none_is_an_error_of_the_configuration(run: RunWorker) -> None:
    with pytest.raises(Exception, match=r"triggers.crons\[1\]: '61 \* \* \* \*' is not a cron expression"):
        await run(CRON, triggers={"crons": ["* * * * *", "61 * * * *"]})


async def test_an_error_of_a_handler_has_its_own_traceback(run: RunWorker) -> None:
    source = """
        from workers import WorkerEntrypoint

        class Default(WorkerEntrypoint):
            async def fetch(self, request):
                raise ValueError("what went wrong")
    """
    worker = await run(source)
    (answer,) = await asyncio.gather(asyncio.ensure_future(worker.runtime.fetch(Request("/"))), return_exceptions=True)
    assert isinstance(answer, ValueError)
    head, place, *_, last = user_traceback(answer).splitlines()
    assert (head, last) == ("Traceback (most recent call last):", "ValueError: what went wrong")
    assert "/src/entry.py" in place


async def test_an_answer_that_is_no_response_is_refused(run: RunWorker) -> None:
    source = """
        from workers import WorkerEntrypoint

        class Default(WorkerEntrypoint):
            async def fetch(self, request):
                return {"a": 1}
    """
    with pytest.raises(Exception, match="Expected a Response from the handler, but got dict"):
        await (await run(source)).fetch()


async def test_an_email_reaches_its_handler(run: RunWorker) -> None:
    source = """
        from workers import Response, WorkerEntrypoint

        class Default(WorkerEntrypoint):
            async def email(self, message, env, ctx):
                raw = b"".join([chunk.to_bytes() async for chunk in message.raw])
                sender = getattr(message, "from")
                if message.headers.get("subject") != "hi" or len(raw) != message.rawSize:
                    raise ValueError(message.headers.get("subject"))
                message.setReject(f"{sender} to {message.to}: {raw[-4:].decode()}")
    """
    worker = await run(source)
    mail = b"Message-ID: <1@x>\r\nSubject: hi\r\n\r\nbody"
    answer = await worker.fetch("/cdn-cgi/handler/email?from=a@x.com&to=b@x.com", method="POST", body=mail)
    assert (answer.status, await answer.text()) == (
        400,
        "Worker rejected email with the following reason: a@x.com to b@x.com: body",
    )


# The old form


async def test_functions_are_given_raw_values(run: RunWorker) -> None:
    source = """
        from js import Response

        ran = []

        async def on_fetch(request, env, ctx):
            return Response.new(f"{request.method} {env.WORD} {ctx.constructor.name} {ran}", status=201)

        def on_scheduled(controller, env):
            ran.append(f"{controller.cron} {env.WORD}")
    """
    worker = await run(source, compatibility_date=OLD, vars={"WORD": "word"})
    assert await worker.text("/__scheduled?cron=x") == "ok"
    answer = await worker.fetch()
    assert (answer.status, await answer.text()) == (201, "GET word ExecutionContext ['x word']")


async def test_the_sdks_decorator_gives_a_function_its_own_values(run: RunWorker) -> None:
    source = """
        from workers import Request, Response, handler

        @handler
        async def on_fetch(request, env):
            assert isinstance(request, Request)
            return Response(f"{request.method} {env.WORD}")
    """
    worker = await run(source, compatibility_date=OLD, vars={"WORD": "word"})
    assert await worker.text() == "GET word"


async def test_a_handler_that_is_missing_is_named(run: RunWorker, caplog: pytest.LogCaptureFixture) -> None:
    source = """
        async def on_scheduled(controller):
            raise ValueError("no")
    """
    worker = await run(source, compatibility_date=OLD)
    with pytest.raises(Exception, match=r'"entry\.py" does not export a handler named "on_fetch"'):
        await worker.fetch()
    with caplog.at_level(logging.ERROR, "edgeagents.cron"):
        assert (await worker.fetch("/__scheduled?cron=x")).status == 500
    assert "scheduled() for 'x' failed" in caplog.text


async def test_a_worker_has_one_default_entrypoint(run: RunWorker) -> None:
    source = """
        from workers import WorkerEntrypoint

        class Default(WorkerEntrypoint):
            pass

        async def on_fetch(request):
            pass
    """
    with pytest.raises(TypeError, match="Cannot define multiple default entrypoints"):
        await run(source, compatibility_date=OLD)


async def test_objects_of_the_old_form_have_handlers_of_the_old_names(run: RunWorker) -> None:
    source = """
        from js import Response
        from workers import DurableObject

        class Box(DurableObject):
            async def on_fetch(self, request):
                return Response.new(f"box {request.method}")

        async def on_fetch(request, env):
            return await env.BOX.getByName("a").fetch(request)
    """
    assert await (await run(source, objects=["Box"], compatibility_date=OLD)).text() == "box GET"


async def test_functions_are_no_handlers_from_the_date_on_that_wants_classes(run: RunWorker) -> None:
    with pytest.raises(Exception, match="on_fetch"):
        await run("async def on_fetch(request): pass")


async def test_of_processes_that_share_a_state_folder_one_runs_what_is_scheduled(run: RunWorker) -> None:
    clock = ManualClock()
    worker = await run(CRON, triggers={"crons": ["* * * * *"]}, runtime={"clock": clock})
    worker.runtime._running.objects.shards_changed([1, 2])
    await clock.advance(60)
    await settle()
    assert await worker.text() == ""
    worker.runtime._running.objects.shards_changed([0, 2])
    await clock.advance(60)
    await settle()
    assert (await worker.text()).startswith("* * * * * ")


async def test_an_email_is_forwarded_and_answered(run: RunWorker) -> None:
    source = """
        from js import Headers
        from workers import WorkerEntrypoint, import_from_javascript

        class Default(WorkerEntrypoint):
            async def email(self, message):
                EmailMessage = import_from_javascript("cloudflare:email").EmailMessage
                await message.forward("c@x.com", Headers.new({"X-Seen": "yes"}.items()))
                headers = ("From: b@x.com", "Message-ID: <2@x>", "In-Reply-To: <1@x>", "References: <1@x>")
                answer = EmailMessage.new("b@x.com", "a@x.com", "\\r\\n".join((*headers, "", "thanks")))
                await message.reply(answer)
                try:
                    await message.forward("c@x.com", Headers.new({"Subject": "other"}.items()))
                except Exception as error:
                    message.setReject(str(error))
    """
    sent: list[tuple[str, str, bytes]] = []

    async def send(sender: str, recipient: str, message: bytes) -> None:
        sent.append((sender, recipient, message))

    worker = await run(source)
    email = IncomingEmail("a@x.com", "b@x.com", b"Message-ID: <1@x>\r\n\r\nbody", send=send)
    await worker.runtime.run_handler("email", email)
    answer = b"From: b@x.com\r\nMessage-ID: <2@x>\r\nIn-Reply-To: <1@x>\r\nReferences: <1@x>\r\n\r\nthanks"
    assert sent == [
        ("a@x.com", "c@x.com", b"x-seen: yes\r\nMessage-ID: <1@x>\r\n\r\nbody"),
        ("b@x.com", "a@x.com", answer),
    ]
    assert email.rejected == "RangeError: A forwarded email can get headers that begin with X-, not 'subject'."


async def test_an_error_of_an_object_is_told_with_both_places_in_the_workers_code(run: RunWorker) -> None:
    source = """
        from workers import DurableObject, WorkerEntrypoint

        class Box(DurableObject):
            async def fail(self):
                raise ValueError("in the object")

        class Default(WorkerEntrypoint):
            async def fetch(self, request):
                await self.env.BOX.getByName("a").fail()
    """
    worker = await run(source, objects=["Box"])
    (answer,) = await asyncio.gather(asyncio.ensure_future(worker.runtime.fetch(Request("/"))), return_exceptions=True)
    assert isinstance(answer, Exception)
    told = user_traceback(answer)
    first, _, second = told.partition("\nThe above exception was the direct cause of the following exception:\n")
    assert first.splitlines()[-1] == "ValueError: in the object"
    assert "/src/entry.py" in first.splitlines()[1]
    assert "/src/entry.py" in second.splitlines()[2]
    assert "objects/activation.py" not in told
