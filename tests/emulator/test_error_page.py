"""The error page: a page for a browser, a line for curl, and no stack for either."""

from __future__ import annotations

from edgeagents_emulator.error_page import error_page

from edgeagents.http import Request


async def test_a_browser_gets_a_page_that_says_where_to_look() -> None:
    response = error_page(Request("http://localhost/", headers={"accept": "text/html,*/*;q=0.8"}))
    assert response.status == 500
    assert response.headers["content-type"] == "text/html;charset=utf-8"
    assert "The terminal" in await response.text()


async def test_everybody_else_gets_a_line() -> None:
    response = error_page(Request("http://localhost/", headers={"accept": "*/*"}))
    assert (response.status, await response.text()) == (500, "Internal Server Error")


async def test_what_is_shown_is_escaped() -> None:
    response = error_page(Request("http://localhost/", headers={"accept": "text/html"}), text="<script>")
    assert "<script>" not in await response.text()
