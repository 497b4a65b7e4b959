"""Forms: what a browser sends in a body, url-encoded or multipart.

Fields are kept in memory and bounded; a file moves to a temporary file on disk once it is large.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from tempfile import SpooledTemporaryFile
from typing import IO, cast
from urllib.parse import parse_qsl

from werkzeug.datastructures import FileStorage, MultiDict
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.http import parse_options_header
from werkzeug.sansio import multipart

from edgeagents.errors import BadRequest, BodyTooLarge, HttpError
from edgeagents.http.body import gather
from edgeagents.http.closing import close

__all__ = ["FormData", "read_form"]

FIELDS_LIMIT = 1024 * 1024
FILE_IN_MEMORY = 512 * 1024
FIELDS = 1000
"""So many a form has at most, its files among them."""
SLICE = 64 * 1024
LINE_HELD = 256


class FormData(MultiDict[str, str]):
    """The fields of a form; ``files`` holds what was uploaded, by field name.

    The files are closed when the request is over: copy what you want to keep.
    """

    def __init__(self, fields: list[tuple[str, str]] | None = None) -> None:
        super().__init__(fields or [])
        self.files: MultiDict[str, FileStorage] = MultiDict()

    def close(self) -> None:
        """Close the files."""
        for files in self.files.listvalues():
            for file in files:
                file.close()


async def read_form(
    content_type: str, stream: AsyncIterator[bytes], limit: int, setting: str | None = None
) -> FormData:
    """Return the form in ``stream``. More than ``limit`` bytes in all raise BodyTooLarge, with ``setting``."""
    kind, options = parse_options_header(content_type)
    if kind == "application/x-www-form-urlencoded":
        whole = gather(stream, limit, setting) if limit <= FIELDS_LIMIT else gather(stream, FIELDS_LIMIT)
        text = (await whole).decode("utf-8", "replace")
        if text.count("&") >= FIELDS:
            raise _too_many_fields()
        return FormData(parse_qsl(text, keep_blank_values=True, errors="replace"))
    if kind == "multipart/form-data":
        boundary = options.get("boundary")
        if not boundary:
            raise BadRequest("The content-type multipart/form-data of this request names no boundary.")
        return await _MultipartReader(boundary, limit, setting).read(stream)
    raise BadRequest(
        "The body of this request is not a form: its content-type is "
        f"{kind!r}, not 'multipart/form-data' or 'application/x-www-form-urlencoded'."
    )


class _MultipartReader:
    def __init__(self, boundary: str, limit: int, setting: str | None) -> None:
        self._delimiter = b"--" + boundary.encode()
        self._held = b""
        self._decoder = multipart.MultipartDecoder(boundary.encode(), FIELDS_LIMIT)
        self._limit, self._setting = limit, setting
        self._size = 0
        self._fields = self._fields_size = 0
        self._form = FormData()
        self._field: str = ""
        self._text: list[bytes] = []
        self._file: IO[bytes] | None = None

    async def read(self, stream: AsyncIterator[bytes]) -> FormData:
        try:
            async for chunk in stream:
                self._size += len(chunk)
                if self._size > self._limit:
                    raise BodyTooLarge(self._limit, self._setting)
                for start in range(0, len(chunk), SLICE):
                    self._decoder.receive_data(self._without_cut_delimiter(chunk[start : start + SLICE]))
                    await self._take()
            self._decoder.receive_data(self._held)
            self._decoder.receive_data(None)
            await self._take()
        except RequestEntityTooLarge:
            self._form.close()
            raise BodyTooLarge(FIELDS_LIMIT) from None
        except (ValueError, UnicodeDecodeError) as error:
            self._form.close()
            if isinstance(error, BadRequest):
                raise
            raise BadRequest("The multipart form in the body of this request is malformed.") from error
        except BaseException:
            self._form.close()
            raise
        finally:
            await close(stream)
        return self._form

    def _without_cut_delimiter(self, data: bytes) -> bytes:
        # When a delimiter's line has begun and not ended, werkzeug may take the line break before it for data.
        # So what may become such a line waits here, with its line break, until there is more of it.
        data = self._held + data
        end = len(data)
        break_at = data.rfind(b"\n")
        line = data[break_at + 1 :]
        if break_at >= 0 and len(line) < LINE_HELD and self._may_be_delimiter(line):
            end = break_at - 1 if data[break_at - 1 : break_at] == b"\r" else break_at
        elif line.endswith(b"\r"):
            end -= 1
        self._held = data[end:]
        return data[:end]

    def _may_be_delimiter(self, line: bytes) -> bool:
        return line.startswith(self._delimiter) or self._delimiter.startswith(line)

    async def _take(self) -> None:
        while True:
            event = self._decoder.next_event()
            if isinstance(event, multipart.NeedData | multipart.Epilogue):
                return
            if isinstance(event, multipart.Field | multipart.File):
                self._fields += 1
                if self._fields > FIELDS:
                    raise _too_many_fields()
            if isinstance(event, multipart.Field):
                self._field, self._text, self._file = _name(event.name), [], None
            elif isinstance(event, multipart.File):
                # Closed with the form.
                spool = SpooledTemporaryFile(max_size=FILE_IN_MEMORY)  # noqa: SIM115
                self._file = cast("IO[bytes]", spool)
                self._form.files.add(
                    _name(event.name),
                    FileStorage(self._file, event.filename, name=event.name, headers=event.headers),
                )
            elif isinstance(event, multipart.Data):
                await self._data(event)

    async def _data(self, event: multipart.Data) -> None:
        if self._file is None:
            self._fields_size += len(event.data)
            if self._fields_size > FIELDS_LIMIT:
                raise BodyTooLarge(FIELDS_LIMIT)
            self._text.append(event.data)
            if not event.more_data:
                self._form.add(self._field, b"".join(self._text).decode("utf-8", "replace"))
        else:
            # Only a file that is on disk may block.
            if self._file.tell() + len(event.data) > FILE_IN_MEMORY:
                await asyncio.to_thread(self._file.write, event.data)
            else:
                self._file.write(event.data)
            if not event.more_data:
                self._file.seek(0)


def _too_many_fields() -> HttpError:
    return HttpError(f"The form in the body of this request has more than {FIELDS} fields.", 413)


def _name(name: str | None) -> str:
    if name is None:
        raise BadRequest("A part of the multipart form in the body of this request has no name.")
    return name
