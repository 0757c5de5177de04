"""A question of an examination, and how those of each topic are put."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Question:
    """What the user says, turn by turn; a pattern that the last answer must match (search, any case); what it uses."""

    topic: str
    turns: tuple[str, ...]
    right: str
    operands: tuple[int, str, int] | None = None
    name: str | None = None


def arithmetic(text: str, a: int, sign: str, b: int) -> Question:
    """Right if the result is the last number in the answer."""
    result = {"+": a + b, "-": a - b, "x": a * b}[sign]
    return Question("arithmetic", (text,), rf"(?<!\d){result}(?!\d)\D*$", operands=(a, sign, b))


def fact(text: str, right: str) -> Question:
    return Question("facts", (text,), rf"\b(?:{right})\b")


def memory(right: str, *turns: str, name: str | None = None) -> Question:
    return Question("memory", turns, rf"\b{right}\b", name=name)


def accel(text: str, right: str) -> Question:
    return Question("accel", (text,), right)
