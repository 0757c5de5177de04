"""What the chat tells of itself: speed, context, memory against the plan."""

import time

from ...units import Bytes
from ..expert_use import of_all
from ..messages import Finished, Statistics
from ..open import Opened
from ..session import Session

DEMONSTRATION = (
    "This is a demonstration: a model of a few million parameters that makes small talk and mistakes. "
    "For a real one: accel chat hf:owner/repo (takes what fits this machine) or accel chat FILE.gguf"
)


def greeting(opened: Opened) -> str:
    """What a chat in a terminal begins with."""
    plan = opened.plan
    return (
        f"{plan.model.name}: {plan.choices['context'].value} tokens of context, {opened.planned} planned; "
        "/help lists the commands"
    )


class Speed:
    """Tokens per second of an answer that is being given."""

    def __init__(self) -> None:
        self._first: tuple[float, int] | None = None

    def of(self, tokens: int) -> str:
        now = time.monotonic()
        if self._first is None:
            self._first = now, tokens
        began, before = self._first
        return f"{(tokens - before) / (now - began):.1f} tokens/s" if now - began > 0.2 else ""


def rate(done: Finished) -> float:
    """Tokens per second after the first one; 0 where there were none."""
    return (done.usage.generated - 1) / done.timings.decode if done.timings.decode > 0 else 0.0


def memory_line(now: Statistics, opened: Opened) -> str:
    """The worker's memory beside what the plan promised."""
    return f"{Bytes(now.anonymous + now.mapped + now.pinned)} of {opened.planned} planned"


def expert_lines(now: Statistics) -> list[str]:
    """How well keeping only a part of the experts in memory goes, in the mean over layers and tokens."""
    if not any(layer.uses for layer in now.experts) or not now.forwards:
        return []
    use, expected = of_all(now.experts, now.forwards), sum(layer.expected for layer in now.experts)
    lines = [
        f"{use.hits:.0%} in memory when wanted, {use.late:.0%} on their way; {Bytes(now.read)} read, "
        f"{expected} experts ahead",
        f"{1e3 * use.stall:.1f} ms a forward waited for them; {use.recall:.0%} foreseen",
        f"approximate: {use.words}" if use.words else "",
    ]
    return [f"{'' if number else 'experts':11}{line}" for number, line in enumerate(lines) if line]


def drafting_lines(now: Statistics) -> list[str]:
    """What is drafted and why, and how each drafter fared."""
    if not now.drafting:
        return []
    told = f"{now.stood} of {now.drafted} guesses stood; {now.drafting}" if now.drafters else now.drafting
    return [f"drafting   {told}"] + [
        f"{'':11}{use.name}: asked {use.asked} times, {use.stood} of {use.drafted} stood, {1e3 * use.seconds:.0f} ms"
        for use in now.drafters
        if use.asked
    ]


def status_line(session: Session, opened: Opened) -> str:
    """One line after an answer."""
    now = opened.worker.statistics()
    parts = [memory_line(now, opened), f"{now.positions} of {now.context} tokens of context"]
    if session.last and session.last.usage.generated > 1:
        parts.append(f"{rate(session.last):.1f} tokens/s")
    return " · ".join(reversed(parts))


def statistics(session: Session, opened: Opened) -> str:
    """What /stats prints."""
    now, ready = opened.worker.statistics(), opened.worker.wait()
    lines = [f"model      {ready.model}, loaded in {ready.seconds:.2f} s by process {ready.pid}"]
    if done := session.last:
        usage, timings = done.usage, done.timings
        lines += [
            f"prompt     {usage.prompt} tokens, {usage.reused} of them cached, {timings.prefill:.2f} s",
            f"answer     {usage.generated} tokens, {rate(done):.1f} tokens/s, ended by: {done.reason}",
        ]
    lines += [
        f"context    {now.positions} of {now.context} tokens",
        f"memory     {memory_line(now, opened)}: {Bytes(now.anonymous)} anonymous, {Bytes(now.mapped)} mapped"
        + (f", {Bytes(now.pinned)} pinned" if now.pinned else ""),
        *expert_lines(now),
        *drafting_lines(now),
        f"seed       {session.wishes.law.seed}",
        f"chat       '{session.name}', {len(session.conversation.messages)} messages"
        + ("" if session.history else ", not kept on disk"),
    ]
    return "\n".join(lines)


def recap(session: Session) -> str:
    """Where a chat that was opened stands."""
    messages = session.conversation.messages
    if not messages:
        return f"'{session.name}' is empty"
    last = " ".join(messages[-1].content.split())
    return f"'{session.name}': {len(messages)} messages, the last: {last[:100]}{'...' if len(last) > 100 else ''}"
