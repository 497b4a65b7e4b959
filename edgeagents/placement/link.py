"""Links: one connection between two processes, which carries many events at once.

Each event has a channel. A body is sent no faster than it is read: the reader grants bytes, the writer uses them up, so
a client that reads slowly holds back its own channel alone. Messages of WebSockets are not held back here, but where
the client is connected, which drops one that stalls.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any, Final, Protocol

from edgeagents.errors import DataCloneError
from edgeagents.http.closing import close
from edgeagents.placement.wire import dump, load

__all__ = ["WINDOW", "Channel", "Inflow", "Link", "LinkLost", "Outflow", "Reading"]

_log = logging.getLogger("edgeagents.placement")

WINDOW: Final = 256 * 1024
_LINK: Final = 0
"""The channel of the link itself."""
_PIECE: Final = 64 * 1024
_MOST_WAITING: Final = 64 * 1024 * 1024
_LONGEST_FRAME: Final = 512 * 1024 * 1024


class LinkLost(ConnectionError):
    """The other process has gone, or does not answer any more."""


class Channel(Protocol):
    """One event's end of a link."""

    def receive(self, kind: str, *content: Any) -> None:
        """Take a frame. Must not block."""
        ...

    def lost(self) -> None:
        """The link is gone: nothing comes any more."""
        ...

    def unreadable(self, error: Exception) -> None:
        """A frame of it came and could not be handled: what it held is missing, so the channel is to end."""
        ...


class Link:
    """One connection. ``on_open`` makes the channel of an event that the other side begins.

    The side that answers says hello at once, so that a connection which a dead or frozen process never took is not
    mistaken for a link to it. It may say that it leaves; once the other has agreed, that one begins nothing more.
    """

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        on_open: Callable[[Link, int, list[Any]], Channel] | None = None,
        on_close: Callable[[Link], object] | None = None,
    ) -> None:
        self._reader, self._writer, self._on_open, self._on_close = reader, writer, on_open, on_close
        self._channels: dict[int, Channel] = {}
        self._parts: dict[int, bytearray] = {}
        self._numbers = itertools.count(1)
        self.is_lost = False
        self.takes_more = True
        """Whether an event may begin on it."""
        self._greeted, self._agreed = asyncio.Event(), asyncio.Event()
        if on_open is not None:
            self.send(_LINK, "hello")
        self._task = asyncio.get_running_loop().create_task(self._read(), name="link to another process")

    def open(self, channel: Channel) -> int:
        """Begin a channel; return its number."""
        if self.is_lost:
            raise LinkLost
        number = next(self._numbers)
        self._channels[number] = channel
        return number

    def forget(self, number: int) -> None:
        """End a channel. What still comes for it is ignored."""
        self._channels.pop(number, None)

    def send(self, number: int, kind: str, *content: Any) -> None:
        """Send a frame. Never blocks; what is sent after the end is dropped.

        A process that takes nothing any more, while more than 64 MiB wait for it, has lost the link.
        """
        self._write(dump([number, kind, *content]))

    def _write(self, frame: bytes) -> None:
        if self.is_lost:
            return
        self._writer.write(len(frame).to_bytes(4, "big") + frame)
        if self._writer.transport.get_write_buffer_size() > _MOST_WAITING:
            _log.warning("Another process does not take what is sent to it: the link to it is closed.")
            self._writer.transport.abort()
            self.close()

    async def send_large(self, number: int, kind: str, *content: Any) -> None:
        """Send a frame of any length up to 512 MiB: in parts, as they are taken, so that others' frames come between.

        Raises ``DataCloneError`` for one that is longer.
        """
        frame = dump([number, kind, *content])
        if len(frame) <= _PIECE:
            self._write(frame)
            return
        if len(frame) > _LONGEST_FRAME:
            raise DataCloneError(
                f"{len(frame):,} bytes are too many to go to another process at once: at most {_LONGEST_FRAME:,}. "
                "Stream them in a response, or send less at a time."
            )
        is_whole = False
        try:
            for start in range(0, len(frame), _PIECE):
                is_whole = start + _PIECE >= len(frame)
                self.send(number, "part", frame[start : start + _PIECE], is_whole)
                await self.drain()
        finally:
            if not is_whole:
                self.send(number, "part", None, True)

    async def drain(self) -> None:
        """Return when what was sent has left, more or less."""
        with suppress(ConnectionError):
            await self._writer.drain()

    async def _read(self) -> None:
        try:
            while True:
                length = int.from_bytes(await self._reader.readexactly(4), "big")
                self._take(await self._reader.readexactly(length))
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # The other side has gone.
        except Exception:
            _log.exception("What another process sent cannot be read: the link to it is closed.")
        finally:
            self.close()

    def _take(self, frame: bytes | bytearray) -> None:
        number, kind, *content = load(frame)
        channel = self._channels.get(number)
        if number == _LINK:
            self._about_link(kind)
        elif kind == "part":
            self._take_part(number, *content)
        elif channel is not None:
            _hand_over(channel, kind, content)
        elif kind == "open" and self._on_open is not None:
            self._channels[number] = self._on_open(self, number, content)

    def _take_part(self, number: int, part: bytes | None, is_last: bool) -> None:
        frame = self._parts.setdefault(number, bytearray())
        if part is not None:
            frame += part
        if is_last:
            del self._parts[number]
            if part is not None:
                self._take(frame)

    async def greeted(self) -> None:
        """Return when the other side has said hello. Raises ``LinkLost`` when it never will."""
        await self._greeted.wait()
        if self.is_lost:
            raise LinkLost

    async def say_leaving(self) -> None:
        """Return when the other side has agreed to begin nothing more."""
        self.send(_LINK, "leaving")
        if not self.is_lost:
            await self._agreed.wait()

    def _about_link(self, kind: str) -> None:
        match kind:
            case "hello":
                self._greeted.set()
            case "leaving":
                self.takes_more = False
                self.send(_LINK, "agreed")
            case _:
                self._agreed.set()

    async def ended(self, within: float) -> None:
        """Close the connection after what was sent, and return when that is done, or after ``within`` seconds."""
        try:
            async with asyncio.timeout(within):
                await self.drain()
                self.close()
                with suppress(ConnectionError):
                    await self._writer.wait_closed()
        except TimeoutError:
            # One that is frozen does not hold this process up.
            self._writer.transport.abort()
            self.close()

    def close(self) -> None:
        """End the connection. Every channel learns that it is lost."""
        if self.is_lost:
            return
        self.is_lost, self.takes_more = True, False
        self._greeted.set()
        self._agreed.set()
        self._task.cancel()
        self._writer.close()
        channels, self._channels = self._channels, {}
        for channel in channels.values():
            channel.lost()
        if self._on_close is not None:
            self._on_close(self)


def _hand_over(channel: Channel, kind: str, content: list[Any]) -> None:
    try:
        channel.receive(kind, *content)
    except Exception as error:
        # One channel's fault is not the others'.
        _log.exception("A frame from another process could not be handled")
        channel.unreadable(error)


class Outflow:
    """Sends a body, as far as the reader has granted."""

    def __init__(self, link: Link, number: int, granted: int) -> None:
        self._link, self._number, self._granted = link, number, granted
        self._more = asyncio.Event()

    def grant(self, count: int) -> None:
        """The reader takes so many more bytes, or items."""
        self._granted += count
        self._more.set()

    async def send(self, chunks: AsyncIterator[bytes]) -> None:
        """Send ``chunks`` to the end. An error of theirs reaches the reader as an error."""
        await self._pass_on(chunks, self._send_chunk)

    async def send_items(self, items: AsyncIterator[bytes]) -> None:
        """Send ``items``, each of which counts as one."""
        await self._pass_on(items, self._send_item)

    async def _pass_on(self, source: AsyncIterator[bytes], send: Callable[[bytes], Awaitable[None]]) -> None:
        try:
            while True:
                # Before the next is made: what nobody reads is not made either.
                await self._may_send()
                one = await anext(source, None)
                if one is None:
                    return
                await send(one)
        finally:
            await close(source)

    async def _send_chunk(self, chunk: bytes) -> None:
        for start in range(0, len(chunk), _PIECE):
            piece = chunk[start : start + _PIECE]
            await self._may_send()
            self._granted -= len(piece)
            self._link.send(self._number, "data", piece)
        await self._link.drain()

    async def _send_item(self, item: bytes) -> None:
        self._granted -= 1
        self._link.send(self._number, "data", item)

    async def _may_send(self) -> None:
        while self._granted <= 0:
            self._more.clear()
            await self._more.wait()


class Inflow(AsyncIterator[bytes]):
    """A body that comes over a link. Reading it grants more; ``aclose`` says that no more is wanted."""

    def __init__(self, link: Link, number: int, *, granted: int, by_bytes: bool = True) -> None:
        self._link, self._number, self._by_bytes = link, number, by_bytes
        self._granted = granted
        self._window = WINDOW if by_bytes else 16
        self._chunks: deque[bytes] = deque()
        self._arrived = asyncio.Event()
        self._error: BaseException | None = None
        self._is_over = False
        self.on_close: Callable[[], object] | None = None

    def feed(self, chunk: bytes) -> None:
        """A piece has come."""
        self._chunks.append(chunk)
        self._arrived.set()

    def end(self, error: BaseException | None = None) -> None:
        """The last piece has come, or the source has failed."""
        if not self._is_over:
            self._is_over, self._error = True, error
            self._arrived.set()

    @property
    def is_over(self) -> bool:
        """Whether all has come, or nothing more is wanted."""
        return self._is_over

    def __aiter__(self) -> Inflow:
        return self

    async def __anext__(self) -> bytes:
        while not self._chunks:
            if self._is_over:
                if self._error is not None:
                    raise self._error
                raise StopAsyncIteration
            self._grant_more()
            self._arrived.clear()
            await self._arrived.wait()
        chunk = self._chunks.popleft()
        self._granted -= len(chunk) if self._by_bytes else 1
        self._grant_more()
        return chunk

    def _grant_more(self) -> None:
        if self._granted <= self._window // 2 and not self._is_over:
            self._link.send(self._number, "grant", self._window - self._granted)
            self._granted = self._window

    def stop(self) -> None:
        """Say that no more is wanted."""
        if not self._is_over:
            self.end()
            if self.on_close is not None:
                self.on_close()

    async def aclose(self) -> None:
        """Stop reading."""
        self.stop()


class Reading(AsyncIterator[bytes]):
    """What a reader has of an ``Inflow``. Dropping it unread stops the stream, as it does one of this process."""

    def __init__(self, inflow: Inflow) -> None:
        self._inflow, self._loop = inflow, asyncio.get_running_loop()

    async def __anext__(self) -> bytes:
        return await anext(self._inflow)

    async def aclose(self) -> None:
        """Stop reading."""
        self._inflow.stop()

    def __del__(self) -> None:
        if not self._inflow.is_over:
            with suppress(RuntimeError):  # The loop is closed, and the link with it.
                # Any thread may be the last to drop it.
                self._loop.call_soon_threadsafe(self._inflow.stop)
