"""Games, played as the page in the browser plays them."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest

from edgeagents.testing.vendor import Answer, Calls, Raw, Refusal, VendorServer, says
from tests.examples import CallFailed, Tab, commands_of, http_client, run_command
from tests.servers import Server

pytestmark = [
    pytest.mark.server,
    pytest.mark.cloudflare(
        "Workers",
        "Cloudflare's example `tictactoe`",
        "same; the model answers one move, where the original lets it go on for both sides",
    ),
]

GAME = "/some/prefix/tic-tac-toe/default"
USELESS: dict[str, Any] = {
    "a cell that is taken": lambda: plays(1, 1),
    "no cell": lambda: plays(7, 7),
    "no number": lambda: plays('"a"', 0),
    "no call": lambda: says("I would take a corner."),
    "refused": lambda: Refusal(400),
    "nothing": lambda: Raw(b""),
}
EMPTY = [[None] * 3] * 3


def plays(row: object, col: object) -> Answer:
    """The model calls the tool ``move``."""
    return Answer(blocks=(Calls("call-1", "move", (f'{{"row": {row}, ', f'"col": {col}}}')),), reason="tool-calls")


async def test_a_new_game_is_an_empty_board_and_x_begins(emulator: Server) -> None:
    async with Tab(emulator, GAME) as tab:
        state = await tab.until_state(lambda _: True)

    assert state == {"board": EMPTY, "currentPlayer": "X", "winner": None}


async def test_all_see_a_move_and_then_the_models(emulator: Server, model: VendorServer) -> None:
    model.answers = [plays(0, 0)]
    async with Tab(emulator, GAME) as mine, Tab(emulator, GAME) as other:
        result = await mine.call("makeMove", [1, 1], "X")
        first = await other.until_state(lambda state: state["board"] != EMPTY)
        second = await other.until_state(lambda _: True)

    assert result is None
    assert first == {
        "board": [[None] * 3, [None, "X", None], [None] * 3],
        "currentPlayer": "O",
        "winner": None,
    }
    assert second == {
        "board": [["O", None, None], [None, "X", None], [None] * 3],
        "currentPlayer": "X",
        "winner": None,
    }
    assert mine.state == second


async def test_the_model_is_asked_with_the_board_for_a_call(emulator: Server, model: VendorServer) -> None:
    model.answers = [plays(0, 0)]
    async with Tab(emulator, GAME) as tab:
        await tab.call("makeMove", [1, 1], "X")

    (asked,) = model.asked
    assert (asked.model, asked.key) == ("gpt-4o", "sk-test")
    assert '[[null, null, null], [null, "X", null], [null, null, null]]' in asked.messages[0].text
    assert asked.tool_choice == {"type": "tool", "tool_name": "move"}
    assert [tool.name for tool in asked.tools] == ["move"]


async def test_a_game_is_won(emulator: Server, model: VendorServer) -> None:
    model.answers = [plays(0, 0), plays(0, 1)]
    async with Tab(emulator, GAME) as tab:
        for col in range(3):
            await tab.call("makeMove", [1, col], "X")

    assert tab.state["winner"] == "X"
    # Who has lost is not asked for a move.
    assert len(model.received) == 2


async def test_the_board_is_cleared(emulator: Server, model: VendorServer) -> None:
    model.answers = [plays(0, 0)]
    async with Tab(emulator, GAME) as tab:
        await tab.call("makeMove", [1, 1], "X")
        assert await tab.call("clearBoard") is None

    assert tab.state == {"board": EMPTY, "currentPlayer": "X", "winner": None}


@pytest.mark.parametrize(
    ("move", "player", "why"),
    [
        ([0, 0], "O", "It's not your turn"),
        ([1, 1], "X", "Cell already played"),
        ([0, 0], "X", "Cell already played"),
        ([3, 0], "X", "There is no such cell"),
        ([-1, -1], "X", "There is no such cell"),
    ],
)
async def test_a_move_that_breaks_the_rules_is_refused_and_changes_nothing(
    offline_emulator: Server, move: list[int], player: str, why: str
) -> None:
    async with Tab(offline_emulator, GAME.replace("default", quote(f"{why} {move}"))) as tab:
        await tab.call("makeMove", [1, 1], "X")
        before = tab.state
        with pytest.raises(CallFailed, match=why):
            await tab.call("makeMove", move, player)

    assert tab.state == before


async def test_a_model_that_is_of_no_use_does_not_stop_the_game(emulator: Server, model: VendorServer) -> None:
    for what, answer in USELESS.items():
        # Some are asked again, and answer the same.
        model.answers = [answer()] * 4
        async with Tab(emulator, GAME.replace("default", quote(what))) as tab:
            await tab.call("makeMove", [1, 1], "X")

        assert tab.state["board"][0][0] == "O", what
        assert tab.state["currentPlayer"] == "X", what


async def test_a_game_goes_on_after_the_server_was_killed(offline_emulator: Server) -> None:
    async with Tab(offline_emulator, GAME.replace("default", "kill")) as tab:
        await tab.call("makeMove", [0, 0], "X")
    offline_emulator.kill()
    offline_emulator.start()

    async with Tab(offline_emulator, GAME.replace("default", "kill")) as again:
        await again.call("makeMove", [2, 1], "X")

    assert sum(mark is not None for cells in again.state["board"] for mark in cells) == 4


async def test_the_agent_alone_blocks_and_wins(emulator: Server, model: VendorServer) -> None:
    model.answers = [says("I would rather talk.")] * 3
    async with Tab(emulator, GAME.replace("default", "alone")) as tab:
        await tab.call("makeMove", [0, 0], "X")
        await tab.call("makeMove", [0, 1], "X")
        assert tab.state["board"] == [["X", "X", "O"], [None, "O", None], [None] * 3]
        await tab.call("makeMove", [2, 2], "X")

    assert tab.state["board"][2][0] == "O"
    assert tab.state["winner"] == "O"


async def test_two_games_are_two_agents(offline_emulator: Server) -> None:
    async with Tab(offline_emulator, GAME) as one, Tab(offline_emulator, "/some/prefix/tic-tac-toe/two") as two:
        await one.call("makeMove", [0, 0], "X")
        await two.call("clearBoard")

        assert two.state["board"] == EMPTY
        assert one.state["board"] != EMPTY


async def test_agents_are_behind_the_chosen_prefix_only(offline_emulator: Server) -> None:
    async with http_client(offline_emulator) as http:
        response = await http.get("/agents/tic-tac-toe/default")

    assert (response.status_code, response.text) == (404, "Not found")


def test_the_readmes_command_plays_a_move(offline_emulator: Server) -> None:
    (play,) = commands_of("tictactoe")

    assert run_command(play, offline_emulator) == "O . .\n. X .\n. . .\nnext: X\n"
