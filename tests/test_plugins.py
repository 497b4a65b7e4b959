"""Loading plugins: good ones, and each way of being wrong."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace

import pytest

from edgeagents import plugins as loading
from edgeagents.errors import PluginError
from edgeagents.hookspecs import hookimpl
from edgeagents.plugins import load_plugins, unique


class Greeter:
    @hookimpl
    def register_bindings(self, runtime):
        return [SimpleNamespace(kind="greeting")]


class Misspelt:
    @hookimpl
    def register_bindngs(self, runtime):
        return []


class WrongArgument:
    @hookimpl
    def register_bindings(self, runtme):
        return []


class NoHooks:
    pass


class EntryPoint:
    def __init__(self, name: str, value: object, dist: str) -> None:
        self.name, self.value, self.dist = name, f"{name}:plugin", SimpleNamespace(name=dist)
        self._value = value

    def load(self) -> object:
        if isinstance(self._value, Exception):
            raise self._value
        return self._value


@pytest.fixture
def installed(monkeypatch):
    """Make ``entry points`` of the group be these."""

    def install(*entry_points: EntryPoint) -> None:
        monkeypatch.setattr(loading.metadata, "entry_points", lambda group: entry_points)

    return install


def test_our_own_bindings_come_through_the_hook():
    manager = load_plugins(discover=False)
    kinds = {t.kind for group in manager.hook.register_bindings(runtime=None) for t in group}
    assert kinds == {"durable_object_namespace", "service", "plain_text", "json", "secret_text"}


def test_an_installed_plugin_is_found(installed):
    installed(EntryPoint("greeter", Greeter(), "acme-greeter"))
    manager = load_plugins()
    assert manager.has_plugin("greeter")


@pytest.mark.parametrize(
    ("plugin", "message"),
    [
        pytest.param(
            Misspelt(),
            r"acme-x is wrong: there is no hook 'register_bindngs'. Did you mean 'register_bindings'",
            id="name",
        ),
        pytest.param(WrongArgument(), r"acme-x is wrong: .*runtme", id="argument"),
        pytest.param(NoHooks(), r"acme-x implements no hook", id="none"),
        pytest.param(Greeter, r"acme-x is a class", id="class"),
        pytest.param(
            ImportError("No module named 'acme'"), r"acme-x cannot be imported .*No module named", id="import"
        ),
    ],
)
def test_a_wrong_plugin_is_an_error_that_names_its_distribution(installed, plugin, message):
    installed(EntryPoint("x", plugin, "acme-x"))
    with pytest.raises(PluginError, match=message):
        load_plugins()


def test_a_plugin_installed_twice_is_an_error(installed):
    installed(EntryPoint("greeter", Greeter(), "acme-greeter"), EntryPoint("greeter", Greeter(), "acme-fork"))
    with pytest.raises(PluginError, match=r"'greeter' of acme-fork is installed twice"):
        load_plugins()


def test_what_two_plugins_provide_under_one_name_is_an_error():
    one, two = SimpleNamespace(kind="kv"), SimpleNamespace(kind="kv")
    with pytest.raises(PluginError, match="Two plugins provide the binding type 'kv'"):
        unique([[one], [two]], "kind", "binding type")


def test_a_module_can_be_a_plugin():
    module = ModuleType("acme_plugin")

    @hookimpl
    def register_transports(runtime):
        return ["there"]

    module.register_transports = register_transports
    sys.modules.pop("acme_plugin", None)
    assert load_plugins([module], discover=False).hook.register_transports(runtime=None) == [["there"]]
