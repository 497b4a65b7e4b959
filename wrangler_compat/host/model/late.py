"""Properties that are made when they are first asked for: most requests are asked for little."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

__all__ = ["Late"]


class Late:
    """A property that ``make`` gives with the first look. One that was set before is as it was set."""

    # As functools.cached_property, which has a lock up to Python 3.11.

    def __init__(self, make: Callable[[Any], Any]) -> None:
        self._make = make
        self.__doc__ = make.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    if TYPE_CHECKING:
        # There is none, so that what is set goes to the instance and is found before this.
        def __set__(self, instance: Any, value: Any) -> None: ...

    def __get__(self, instance: Any, owner: type) -> Any:
        if instance is None:
            return self
        value = instance.__dict__[self._name] = self._make(instance)
        return value
