from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from edgeagents.errors import BadRequest, BodyTooLarge, HttpError
from edgeagents.http import Request


def multipart(*parts: bytes) -> bytes:
    return b"".join(b"--b\r\n" + part + b"\r\n" for part in parts) + b"--b--\r\n"


FIELD = b'content-disposition: form-data; name="prompt"\r\n\r\nh\xc3\xbcllo'
FILE = b'content-disposition: form-data; name="doc"; filename="a.txt"\r\ncontent-type: text/x-a\r\n\r\nfile\r\nbytes'


def form_request(body: bytes, kind: str = "multipart/form-data; boundary=b", cut: int = 7) -> Request:
    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(body), cut):
            yield body[start : start + cut]

    return Request("/", method="POST", headers={"content-type": kind}, body=pieces())


async def test_url_encoded_fields_are_decoded():
    form = await form_request(b"a=1&a=2+3&b=%C3%BC&c=", "application/x-www-form-urlencoded; charset=utf-8").form()

    assert form.getlist("a") == ["1", "2 3"]
    assert form["b"] == "ü"
    assert form["c"] == ""
    assert len(form.files) == 0


@pytest.mark.parametrize("cut", [1, 2, 3, 5, 7, 10_000])
async def test_multipart_fields_and_files_however_it_is_cut(cut: int):
    request = form_request(multipart(FIELD, FILE), cut=cut)
    form = await request.form()

    assert form["prompt"] == "hüllo"
    file = form.files["doc"]
    assert (file.filename, file.content_type, file.read()) == ("a.txt", "text/x-a", b"file\r\nbytes")
    assert await request.form() is form
    form.close()


async def test_a_large_file_moves_to_disk_and_can_be_read():
    content = bytes(range(256)) * 8000
    part = b'content-disposition: form-data; name="doc"; filename="big"\r\n\r\n' + content
    form = await form_request(multipart(part), cut=50_000).form()

    assert form.files["doc"].read() == content
    form.close()
    assert form.files["doc"].stream.closed


async def test_a_form_larger_than_the_limit_is_refused():
    with pytest.raises(BodyTooLarge, match=r"limit of 50 bytes\.$"):
        await form_request(multipart(FIELD, FILE)).form(limit=50)
    request = form_request(multipart(FIELD, FILE))
    request.buffer_limit = 50
    with pytest.raises(BodyTooLarge, match=r"Limits\(buffered_body_bytes=50\)"):
        await request.form()


async def test_a_field_larger_than_memory_allows_is_refused():
    part = b'content-disposition: form-data; name="a"\r\n\r\n' + bytes(1_100_000)
    with pytest.raises(BodyTooLarge):
        await form_request(multipart(part), cut=60_000).form()


async def test_many_fields_are_bounded_together():
    part = b'content-disposition: form-data; name="a"\r\n\r\n' + bytes(60_000)
    with pytest.raises(BodyTooLarge):
        await form_request(multipart(*[part] * 20), cut=60_000).form()


@pytest.mark.parametrize("of_file", [b"", b'; filename="x"'])
async def test_too_many_parts_are_refused(of_file: bytes):
    part = b'content-disposition: form-data; name="a"' + of_file + b"\r\n\r\n"
    with pytest.raises(HttpError, match="more than 1000 fields") as refused:
        await form_request(multipart(*[part] * 1001), cut=60_000).form()
    assert refused.value.status == 413
    form = await form_request(multipart(*[part] * 1000), cut=60_000).form()
    assert len((form.files if of_file else form).getlist("a")) == 1000
    form.close()


async def test_too_many_fields_are_refused_before_they_are_read():
    with pytest.raises(HttpError, match="more than 1000 fields"):
        await form_request(b"&".join([b"a=1"] * 1001), "application/x-www-form-urlencoded").form()
    form = await form_request(b"&".join([b"a=1"] * 1000), "application/x-www-form-urlencoded").form()
    assert len(form.getlist("a")) == 1000


@pytest.mark.parametrize(
    ("kind", "body", "says"),
    [
        ("application/json", b"{}", "is not a form: its content-type is 'application/json'"),
        ("", b"", "is not a form"),
        ("multipart/form-data", b"", "names no boundary"),
        ("multipart/form-data; boundary=b", b"--b\r\ncontent-disposition: form-data; name=a\r\n\r\nx", "malformed"),
        ("multipart/form-data; boundary=b", b"nothing", "malformed"),
        ("multipart/form-data; boundary=b", multipart(b"x: y\r\n\r\n1"), "malformed"),
        ("multipart/form-data; boundary=b", multipart(b"content-disposition: form-data\r\n\r\n1"), "has no name"),
        ("multipart/form-data; boundary=\xff", b"x", "names no boundary"),
    ],
)
async def test_what_is_not_a_form_says_why(kind: str, body: bytes, says: str):
    with pytest.raises(BadRequest, match=says):
        await form_request(body, kind).form()
