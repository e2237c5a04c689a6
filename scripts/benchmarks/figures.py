"""Measured figures and what they are held against."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class Figure:
    """What one contender reached at one setting: a sample for each round."""

    contender: str
    setting: str
    unit: str
    samples: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.samples)

    @property
    def low(self) -> float:
        return min(self.samples)

    @property
    def high(self) -> float:
        return max(self.samples)


@dataclass(frozen=True)
class Goal:
    """A bound for a value of this run: usually a ratio of two medians, since both suffered the same machine."""

    what: str
    value: float
    bound: float
    sense: Literal["at least", "at most"]

    @property
    def met(self) -> bool:
        return self.value >= self.bound if self.sense == "at least" else self.value <= self.bound


@dataclass
class Answer:
    """The answer to one question: a table, its goals, and a picture."""

    name: str
    question: str
    figures: list[Figure] = field(default_factory=list)
    goals: list[Goal] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    #: How the picture is drawn: a bar for each figure, or a line for each contender over the settings.
    picture: Literal["bars", "lines"] = "bars"

    def median(self, contender: str, setting: str) -> float | None:
        """The median of a figure; None when that contender did not take part."""
        for figure in self.figures:
            if (figure.contender, figure.setting) == (contender, setting):
                return figure.median
        return None

    def compare(
        self,
        what: str,
        value: float | None,
        reference: float | None,
        bound: float,
        sense: Literal["at least", "at most"] = "at least",
    ) -> None:
        """Note the goal `value / reference`, unless one of them was not measured."""
        if value is not None and reference:
            self.goals.append(Goal(what, value / reference, bound, sense))

    def expect(self, what: str, value: float | None, bound: float, sense: Literal["at least", "at most"]) -> None:
        """Note a goal for a value by itself, unless it was not measured."""
        if value is not None:
            self.goals.append(Goal(what, value, bound, sense))


class Samples:
    """Samples as they come, round by round; figures in the order in which they first came."""

    def __init__(self, unit: str) -> None:
        self._unit = unit
        self._samples: dict[tuple[str, str], list[float]] = {}

    def add(self, contender: str, setting: str, value: float) -> None:
        self._samples.setdefault((contender, setting), []).append(value)

    def figures(self) -> list[Figure]:
        return [
            Figure(contender, setting, self._unit, tuple(values))
            for (contender, setting), values in self._samples.items()
        ]
