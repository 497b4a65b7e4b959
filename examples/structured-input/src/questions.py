"""Questions that a model may ask with a form: tools that nobody runs here, for the browser shows them and answers.

The names of the tools and of their fields are the browser's. What a user puts in comes back as the tool's output.
"""

from __future__ import annotations

from typing import Annotated, NotRequired, TypedDict

from edgeagents.models import tool

__all__ = ["QUESTIONS"]


class MultipleChoice(TypedDict):
    question: Annotated[str, "What to ask"]
    options: Annotated[list[str], "The choices, two at least"]
    allowMultiple: NotRequired[Annotated[bool, "Whether more than one may be chosen; false by default"]]


class YesNo(TypedDict):
    question: Annotated[str, "What to ask, so that yes or no is an answer"]


class FreeText(TypedDict):
    question: Annotated[str, "What to ask"]
    placeholder: NotRequired[Annotated[str, "What an empty field shows"]]
    multiline: NotRequired[Annotated[bool, "Whether the answer may have many lines; false by default"]]


class Labels(TypedDict, total=False):
    low: str
    high: str


class Rating(TypedDict):
    question: Annotated[str, "What to rate"]
    min: NotRequired[Annotated[float, "The lowest value; 1 by default"]]
    max: NotRequired[Annotated[float, "The highest value; 5 by default"]]
    labels: NotRequired[Annotated[Labels, "What the two ends of the scale mean"]]


QUESTIONS = [
    tool(
        None,
        name="askMultipleChoice",
        description="Let the user choose among options. For when you know what the answers can be.",
        input_schema=MultipleChoice,
    ),
    tool(None, name="askYesNo", description="Ask for a decision between yes and no.", input_schema=YesNo),
    tool(
        None,
        name="askFreeText",
        description="Ask for an answer in the user's own words, such as a name or a description.",
        input_schema=FreeText,
    ),
    tool(None, name="askRating", description="Let the user rate something on a scale.", input_schema=Rating),
]
