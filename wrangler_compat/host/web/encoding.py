"""Text and bytes: TextEncoder, TextDecoder, base64, compression."""

from __future__ import annotations

import base64
import re
import zlib
from typing import Any

from wrangler_compat.host.model.buffers import TypedArray, Uint8Array, bytes_of
from wrangler_compat.host.model.convert import to_text, utf8
from wrangler_compat.host.model.errors import DomException, JsRangeError, JsTypeError
from wrangler_compat.host.model.proxy import JsObject, JsProxy, is_nullish, js_function, properties
from wrangler_compat.host.web.encoding_labels import codec_of
from wrangler_compat.host.web.streams import Controller
from wrangler_compat.host.web.transform import TransformStream

__all__ = ["ENCODING_CLASSES", "atob", "btoa"]


class TextEncoder(JsProxy):
    """``TextEncoder``."""

    encoding = "utf-8"

    def encode(self, text: Any = "") -> TypedArray:
        """Return ``text`` in UTF-8."""
        return Uint8Array(b"" if text is None else utf8(to_text(text)))

    def encodeInto(self, text: Any, target: TypedArray) -> JsObject:
        """Write ``text`` in UTF-8 into ``target``, as much as it holds."""
        read = written = 0
        for letter in to_text(text):
            data = utf8(letter)
            if written + len(data) > len(target):
                break
            for byte in data:
                target[written] = byte
                written += 1
            read += 1
        return JsObject({"read": read, "written": written})


class TextDecoder(JsProxy):
    """``TextDecoder``."""

    def __init__(self, label: Any = "utf-8", options: Any = None) -> None:
        name = "utf-8" if is_nullish(label) else to_text(label)
        try:
            self.encoding, self._codec = codec_of(name)
        except LookupError:
            raise JsRangeError(f'"{name}" is not a valid encoding.') from None
        given = properties(options)
        self.fatal, self.ignoreBOM = bool(given.get("fatal")), bool(given.get("ignoreBOM"))
        self._restart()

    def _restart(self) -> None:
        self._decoder = self._codec.incrementaldecoder("strict" if self.fatal else "edgeagents-web")
        self._is_start = True

    def decode(self, data: Any = None, options: Any = None) -> str:
        """Return the text of ``data``; with ``{stream: true}`` more may follow."""
        goes_on = bool(properties(options).get("stream"))
        content = b"" if is_nullish(data) else bytes_of(data)
        if content is None:
            raise JsTypeError("Failed to execute 'decode' on 'TextDecoder': parameter 1 is not of type 'Array'.")
        try:
            text = self._decoder.decode(content, not goes_on)
        except UnicodeDecodeError:
            self._restart()
            raise JsTypeError("Failed to decode input.") from None
        if self._is_start and text:
            self._is_start = False
            text = text if self.ignoreBOM else text.removeprefix("\ufeff")
        if not goes_on:
            self._restart()
        return text


class TextDecoderStream(TransformStream):
    """``TextDecoderStream``."""

    def __init__(self, label: Any = "utf-8", options: Any = None) -> None:
        decoder = TextDecoder(label, options)

        def transform(chunk: Any, controller: Controller) -> None:
            text = decoder.decode(chunk, {"stream": True})
            if text:
                controller.enqueue(text)

        def flush(controller: Controller) -> None:
            text = decoder.decode()
            if text:
                controller.enqueue(text)

        super().__init__({"transform": transform, "flush": flush})
        self.encoding = decoder.encoding


class TextEncoderStream(TransformStream):
    """``TextEncoderStream``."""

    encoding = "utf-8"

    def __init__(self) -> None:
        super().__init__({"transform": lambda chunk, controller: controller.enqueue(Uint8Array(utf8(to_text(chunk))))})


_WINDOW_BITS = {"gzip": 31, "deflate": 15, "deflate-raw": -15}


class CompressionStream(TransformStream):
    """``CompressionStream``: gzip, deflate, deflate-raw."""

    def __init__(self, form: Any) -> None:
        packer = zlib.compressobj(wbits=_window(form))
        super().__init__(_steps(packer.compress, packer.flush))


class DecompressionStream(TransformStream):
    """``DecompressionStream``: gzip, deflate, deflate-raw."""

    def __init__(self, form: Any) -> None:
        unpacker = zlib.decompressobj(wbits=_window(form))

        def end() -> bytes:
            rest = unpacker.flush()
            if not unpacker.eof:
                raise JsTypeError("Called close() on a decompression stream with incomplete data")
            return rest

        super().__init__(_steps(unpacker.decompress, end))


def _window(form: Any) -> int:
    if form not in _WINDOW_BITS:
        raise JsTypeError("The compression format must be either 'deflate', 'deflate-raw' or 'gzip'.")
    return _WINDOW_BITS[form]


def _steps(change: Any, end: Any) -> dict[str, Any]:
    def put(controller: Controller, data: bytes) -> None:
        if data:
            controller.enqueue(Uint8Array(data))

    def transform(chunk: Any, controller: Controller) -> None:
        content = bytes_of(chunk)
        if content is None:
            raise JsTypeError("A compression stream takes buffers.")
        try:
            put(controller, change(content))
        except zlib.error as error:
            raise JsTypeError(f"Decompression failed: {error}") from None

    return {"transform": transform, "flush": lambda controller: put(controller, end())}


@js_function
def btoa(text: Any) -> str:
    """Return ``text``, letters up to U+00FF, in base64."""
    try:
        return base64.b64encode(to_text(text).encode("latin-1")).decode()
    except UnicodeEncodeError:
        raise DomException(
            "btoa() can only operate on characters in the Latin1 (ISO/IEC 8859-1) range.", "InvalidCharacterError"
        ) from None


_NOT_BASE64 = (
    "atob() called with invalid base64-encoded data. (Only whitespace, '+', '/', alphanumeric ASCII, and up to two "
    "terminal '=' signs when the input data length is divisible by 4 are allowed.)"
)

_NO_SPACE = dict.fromkeys(map(ord, "\t\n\f\r "))
_BASE64 = re.compile(r"[A-Za-z0-9+/]*")


@js_function
def atob(text: Any) -> str:
    """Return what ``text`` says in base64."""
    letters = to_text(text).translate(_NO_SPACE)
    if len(letters) % 4 == 0 and letters.endswith("="):
        letters = letters[:-2] + letters[-2:].rstrip("=")
    if len(letters) % 4 == 1 or not _BASE64.fullmatch(letters):
        raise DomException(_NOT_BASE64, "InvalidCharacterError")
    return base64.b64decode(letters + "=" * (-len(letters) % 4)).decode("latin-1")


ENCODING_CLASSES: tuple[type[JsProxy], ...] = (
    *(TextEncoder, TextDecoder, TextEncoderStream, TextDecoderStream),
    *(CompressionStream, DecompressionStream),
)
