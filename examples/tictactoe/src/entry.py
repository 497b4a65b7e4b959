"""A game of tic-tac-toe against a model. The board is the agent's state, so everybody who looks sees each move.

A port of ``examples/tictactoe`` of the Agents SDK. A model may answer with a move that cannot be played, or with none:
``choose_move`` asks it, ``find_move`` needs no model.
"""

from __future__ import annotations

import json
from typing import Any, Literal, TypedDict

from edgeagents import Agent, Request, Response, WorkerEntrypoint, callable, route_agent_request
from edgeagents.errors import ModelError
from edgeagents.models import tool

Player = Literal["X", "O"]
Board = list[list[Player | None]]
Cell = tuple[int, int]

LINES: list[tuple[Cell, ...]] = [
    *(tuple((row, col) for col in range(3)) for row in range(3)),
    *(tuple((row, col) for row in range(3)) for col in range(3)),
    tuple((i, i) for i in range(3)),
    tuple((i, 2 - i) for i in range(3)),
]
# The middle is in four lines, a corner in three, an edge in two.
BEST_FIRST = sorted(((row, col) for row in range(3) for col in range(3)), key=lambda c: -sum(c in s for s in LINES))


class TicTacToeState(TypedDict):
    """What every client sees."""

    board: Board
    currentPlayer: Player
    winner: Player | None


class Move(TypedDict):
    """What the model is to answer with."""

    row: Literal[0, 1, 2]
    col: Literal[0, 1, 2]


class TicTacToe(Agent[Any, TicTacToeState]):
    initial_state: TicTacToeState = {
        "board": [[None] * 3 for _ in range(3)],
        "currentPlayer": "X",
        "winner": None,
    }

    @callable()
    async def make_move(self, move: Cell, player: Player) -> None:
        """Play the cell ``[row, col]``, and let the model answer unless that ends the game."""
        self.play(move, player)
        if not is_over(self.state["board"]):
            other = other_player(player)
            self.play(await self.choose_move(other), other)

    @callable()
    async def clear_board(self) -> None:
        """Begin a new game."""
        self.set_state(self.initial_state)

    def play(self, move: Cell, player: Player) -> None:
        """Put the mark of ``player`` on the board. All clients see it at once."""
        if self.state["currentPlayer"] != player:
            raise ValueError("It's not your turn")
        row, col = move
        if (row, col) not in BEST_FIRST:
            raise ValueError("There is no such cell")
        board = [list(cells) for cells in self.state["board"]]
        if board[row][col] is not None:
            raise ValueError("Cell already played")
        board[row][col] = player
        self.set_state({"board": board, "currentPlayer": other_player(player), "winner": check_winner(board)})

    async def choose_move(self, player: Player) -> Cell:
        """Ask the model for a move, and find one without it when that is of no use."""
        board = self.state["board"]
        answer = self.stream_text(
            model="openai:gpt-4o",
            system="You play tic-tac-toe as well as it can be played. Answer with a call of the tool `move`.",
            prompt=f"The board, row by row: {json.dumps(board)}. You are {player}, and it is your turn.",
            # Nobody runs this tool: its input is the answer, in a form that can be relied on.
            tools=[tool(None, name="move", description="Play an empty cell (null).", input_schema=Move)],
            tool_choice={"type": "tool", "tool_name": "move"},
        )
        try:
            calls = await answer.tool_calls
        except ModelError as error:
            # A game that waits for a model that is down could not go on: it would never be a human's turn again.
            self.ctx.logger.warning("The model gave no move: %s", error)
            return find_move(board, player)
        for call in calls:
            if call.error is None and board[call.input["row"]][call.input["col"]] is None:
                return call.input["row"], call.input["col"]
        return find_move(board, player)


def other_player(player: Player) -> Player:
    return "O" if player == "X" else "X"


def check_winner(board: Board) -> Player | None:
    """Return who has three in a row."""
    players: tuple[Player, Player] = ("X", "O")
    for player in players:
        if any(all(board[row][col] == player for row, col in line) for line in LINES):
            return player
    return None


def is_over(board: Board) -> bool:
    return check_winner(board) is not None or all(mark is not None for cells in board for mark in cells)


def find_move(board: Board, player: Player) -> Cell:
    """Win if one move does it, else keep the other from winning, else take the cell that is in most lines."""
    free = [(row, col) for row, col in BEST_FIRST if board[row][col] is None]
    for mark in (player, other_player(player)):
        for cell in free:
            if wins(board, cell, mark):
                return cell
    return free[0]


def wins(board: Board, cell: Cell, player: Player) -> bool:
    """Return whether ``player`` has three in a row after playing ``cell``."""
    after = [list(cells) for cells in board]
    after[cell[0]][cell[1]] = player
    return check_winner(after) == player


class Default(WorkerEntrypoint[Any]):
    async def fetch(self, request: Request) -> Response:
        """Answer ``/some/prefix/tic-tac-toe/<game>``: the original shows that the prefix can be chosen."""
        routed = await route_agent_request(request, self.env, prefix="some/prefix")
        return routed or Response("Not found", status=404)
