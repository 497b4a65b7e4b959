"""``SharedArrayBuffer`` and ``Atomics``. A worker has one thread, so nothing is shared, and all steps are whole."""

from __future__ import annotations

from typing import Any

from wrangler_compat.host.model.buffers import JsArrayBuffer, TypedArray
from wrangler_compat.host.model.errors import JsRangeError, JsTypeError
from wrangler_compat.host.model.proxy import JsProxy

__all__ = ["Atomics", "JsSharedArrayBuffer"]


class JsSharedArrayBuffer(JsArrayBuffer):
    """``SharedArrayBuffer``."""

    growable = False

    @property
    def maxByteLength(self) -> int:
        """How many bytes there can be."""
        return self.byteLength


class Atomics(JsProxy):
    """``Atomics``: reads and changes elements of typed arrays of whole numbers; each gives what was there before."""

    def load(self, view: Any, index: Any) -> Any:
        """Return an element."""
        return _element(view, index)

    def store(self, view: Any, index: Any, value: Any) -> Any:
        """Set an element; return ``value``."""
        _element(view, index)
        view[index] = value
        return value

    def exchange(self, view: Any, index: Any, value: Any) -> Any:
        """Set an element."""
        return self._change(view, index, value)

    def compareExchange(self, view: Any, index: Any, expected: Any, value: Any) -> Any:
        """Set an element that is ``expected``."""
        before = _element(view, index)
        if before == view._element(expected):
            view[index] = value
        return before

    def add(self, view: Any, index: Any, value: Any) -> Any:
        """Add to an element."""
        return self._change(view, index, _element(view, index) + value)

    def sub(self, view: Any, index: Any, value: Any) -> Any:
        """Take from an element."""
        return self._change(view, index, _element(view, index) - value)

    def and_(self, view: Any, index: Any, value: Any) -> Any:
        """Keep the bits of an element that ``value`` has."""
        return self._change(view, index, _element(view, index) & value)

    def or_(self, view: Any, index: Any, value: Any) -> Any:
        """Set the bits of an element that ``value`` has."""
        return self._change(view, index, _element(view, index) | value)

    def xor(self, view: Any, index: Any, value: Any) -> Any:
        """Turn the bits of an element that ``value`` has."""
        return self._change(view, index, _element(view, index) ^ value)

    def _change(self, view: Any, index: Any, value: Any) -> Any:
        before = _element(view, index)
        view[index] = value
        return before

    def isLockFree(self, size: Any) -> bool:
        """Whether elements of ``size`` bytes are changed at once."""
        return size in (1, 2, 4, 8)

    def notify(self, view: Any, index: Any, count: Any = None) -> int:
        """Wake nobody: there is no other thread that could wait."""
        _element(view, index)
        return 0

    def wait(self, view: Any, index: Any, value: Any, timeout: Any = None) -> None:
        """Refuse, as a worker may not block."""
        raise JsTypeError("Atomics.wait cannot be called in this context")

    def pause(self) -> None:
        """Go on at once."""

    def _keys(self) -> list[str]:
        return []


def _element(view: Any, index: Any) -> Any:
    if not isinstance(view, TypedArray) or view._format in "efd":
        raise JsTypeError(
            f"[object {view._js_name if isinstance(view, TypedArray) else 'Array'}] is not an integer typed array."
        )
    if not isinstance(index, int) or not 0 <= index < len(view):
        raise JsRangeError("Invalid atomic access index")
    return view[index]
