"""Proxies, symbols, prototypes and getters of JavaScript, with functions and classes of Python behind them."""

from __future__ import annotations

import gc
from typing import Any

import pytest

pytestmark = pytest.mark.cloudflare(
    "Workers", "Python: `Proxy`, `Reflect`, `Symbol`, properties that are frozen, hidden or computed", "same"
)


def test_a_class_of_python_answers_for_an_object() -> None:
    import js
    from pyodide.ffi import create_proxy

    class Handler:
        def get(self, target: Any, name: Any, receiver: Any) -> Any:
            return f"{name} of {len(js.Object.keys(target))}"

        def has(self, target: Any, name: Any) -> bool:
            return name == "there"

        def ownKeys(self, target: Any) -> Any:
            return js.Array.of("a", "z")

    proxy = js.Proxy.new(js.Object.fromEntries([["a", 1]]), create_proxy(Handler()))
    assert (proxy.a, proxy.b) == ("a of 1", "b of 1")
    assert (js.Reflect.has(proxy, "there"), js.Reflect.has(proxy, "a")) == (True, False)
    # What the target has not cannot be enumerated.
    assert (list(js.Object.keys(proxy)), list(js.Reflect.ownKeys(proxy))) == (["a"], ["a", "z"])


def test_traps_see_what_is_set_deleted_called_and_made() -> None:
    import js

    seen: list[Any] = []

    def note(name: str, answer: Any) -> Any:
        def trap(target: Any, *args: Any) -> Any:
            seen.append((name, *(arg for arg in args if isinstance(arg, str | int))))
            return answer

        return trap

    traps = {"set": note("set", True), "deleteProperty": note("delete", True), "defineProperty": note("define", True)}
    proxy = js.Proxy.new(js.Object.new(), traps)
    proxy.a = 1
    del proxy.b
    js.Object.defineProperty(proxy, "c", {"value": 1})
    function = js.Proxy.new(js.Date, {"apply": note("apply", 5), "construct": note("construct", js.Object.new())})
    assert function(1) == js.Reflect.apply(function, None, [1]) == 5
    assert function.new().constructor.name == "Object"
    assert seen == [("set", "a", 1), ("delete", "b"), ("define", "c"), ("apply",), ("apply",), ("construct",)]


@pytest.mark.parametrize(
    ("trap", "work", "text"),
    [
        ("set", "setattr(proxy, 'a', 1)", "'set' on proxy: trap returned falsish for property 'a'"),
        ("deleteProperty", "delattr(proxy, 'a')", "'deleteProperty' on proxy: trap returned falsish for property 'a'"),
        (
            "defineProperty",
            "js.Object.defineProperty(proxy, 'a', {})",
            "'defineProperty' on proxy: trap returned falsish for property 'a'",
        ),
        ("preventExtensions", "js.Object.freeze(proxy)", "'preventExtensions' on proxy: trap returned falsish"),
        ("ownKeys", "js.Object.keys(proxy)", "CreateListFromArrayLike called on non-object"),
    ],
)
def test_a_trap_that_says_no_is_an_error(trap: str, work: str, text: str) -> None:
    import js
    from pyodide.ffi import JsException

    proxy = js.Proxy.new(js.Object.new(), {trap: lambda *_: False})
    with pytest.raises(JsException, match=f"TypeError: {text}"):
        eval(work, {"js": js, "proxy": proxy})


def test_a_handler_cannot_deny_what_is_frozen() -> None:
    import js
    from pyodide.ffi import JsException

    frozen = js.Object.freeze(js.Object.fromEntries([["a", 1]]))
    proxy = js.Proxy.new(frozen, {"get": lambda *_: 2, "has": lambda *_: False})
    with pytest.raises(JsException, match=r"did not return its actual value \(expected '1' but got '2'\)"):
        _ = proxy.a
    with pytest.raises(JsException, match="exists in the proxy target as non-configurable"):
        js.Reflect.has(proxy, "a")


def test_getters_and_setters_are_functions_of_python() -> None:
    import js
    from pyodide.ffi import create_proxy

    kept: list[Any] = []
    target = js.Object.fromEntries([["name", "x"]])
    greet = create_proxy(lambda this: f"hello {this.name}", capture_this=True)
    js.Object.defineProperty(target, "greeting", {"get": greet, "set": kept.append, "enumerable": True})
    target.greeting = 5
    heir = js.Object.create(target)
    heir.name = "y"
    assert (target.greeting, heir.greeting, kept) == ("hello x", "hello y", [5])
    assert target.to_py() == {"name": "x", "greeting": "hello x"}


def test_an_object_with_a_symbol_for_it_can_be_iterated() -> None:
    import js

    target = js.Object.fromEntries([["a", 1]])
    assert not hasattr(target, "__iter__")
    js.Reflect.set(target, js.Symbol.iterator, lambda: js.Array.of(5, 6).values())
    js.Reflect.set(target, js.Symbol.toStringTag, "Pair")
    assert (list(target), str(target), target.a) == ([5, 6], "[object Pair]", 1)


def test_a_proxy_reads_as_its_target_in_python() -> None:
    import js

    proxy = js.Proxy.new(js.Array.of(1, 2), {})
    proxy[2] = 3
    assert (len(proxy), list(proxy), proxy[0]) == (3, [1, 2, 3], 1)
    assert js.Proxy.new(js.Object.fromEntries([["a", js.Array.of(1)]]), {}).to_py() == {"a": [1]}
    assert not hasattr(js.Proxy.new(js.Object.new(), {}), "a")


def test_what_nothing_else_refers_to_is_forgotten() -> None:
    import js

    key = js.Object.new()
    known, refers = js.WeakMap.new([[key, 1]]), js.WeakRef.new(key)
    assert (known.get(key), refers.deref() is key) == (1, True)
    del key
    gc.collect()
    assert (len(known._held._entries), refers.deref()) == (0, None)


async def test_a_registry_tells_of_what_is_gone() -> None:
    import js

    gone: list[Any] = []
    registry = js.FinalizationRegistry.new(gone.append)
    one, other = js.Object.new(), js.Object.new()
    registry.register(one, "one")
    registry.register(other, "other", registry)
    assert registry.unregister(registry)
    assert not registry.unregister(registry)
    del one, other
    gc.collect()
    await js.scheduler.wait(0)
    assert gone == ["one"]


async def test_stacks_end_what_they_have_the_last_first() -> None:
    import js
    from pyodide.ffi import JsException

    done: list[Any] = []

    async def end() -> None:
        done.append("slowly")

    async with js.AsyncDisposableStack.new() as stack:
        stack.defer(end)
        stack.adopt("adopted", done.append)
    moved = js.DisposableStack.new()
    moved.defer(lambda: done.append("moved"))
    with moved.move():
        assert moved.disposed
    assert done == ["adopted", "slowly", "moved"]

    def fail(text: str) -> None:
        raise JsException(text)

    failing = js.DisposableStack.new()
    failing.adopt("first", fail)
    failing.adopt("second", fail)
    with pytest.raises(JsException, match="SuppressedError") as raised:
        failing.dispose()
    assert (raised.value.error.message, raised.value.suppressed.message) == ("first", "second")


def test_iterators_give_what_is_made_of_them_as_they_are_asked() -> None:
    import js

    asked: list[int] = []
    squares = js.Iterator.from_(range(10)).map(lambda one: asked.append(one) or one * one)
    assert squares.filter(lambda one: one % 2).take(2).toArray().to_py() == [1, 9]
    assert asked == [0, 1, 2, 3]
    assert js.Iterator.from_([[1, 2], [3]]).flatMap(lambda one: one).toArray().to_py() == [1, 2, 3]
    step = js.Map.new([["a", 1]]).values().next()
    assert (step.value, step.done) == (1, False)
