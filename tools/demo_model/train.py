"""Trains one of the two models, and goes on where it was stopped.

python -m tools.demo_model.train moe --steps 2400
python -m tools.demo_model.train draft --steps 450     learns from the finished moe
"""

# torch is installed for training alone.
# pyright: reportMissingImports=false

import argparse
import ctypes
import signal
import time
from pathlib import Path
from random import Random

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer
from torch import Tensor

from . import tokenizer as words
from .corpus import COPYING_FIRST, WEIGHTS, conversation
from .model import DRAFT, MOE, Model
from .optimizer import matrices, optimizers

OUT = Path(__file__).parent / "out"
SHAPES = {"moe": MOE, "draft": DRAFT}
SAVE_EVERY = 180.0
WARMUP = 50
ROUNDED = 0.7
# From here on every third step has a quarter of the rows, four times as long, each one conversation: first the
# language, then what a turn far back was about.
LONG_FROM, LONG_EACH, LONG_TURNS = 0.4, 3, 40
COPYING_UNTIL = 0.3


def keep_memory() -> None:
    """Lets glibc keep freed memory: giving tensors back to the system after every step costs a third of the time."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        m_arena_max, m_mmap_max, m_trim_threshold = -8, -4, -1
        libc.mallopt(m_arena_max, 1)
        libc.mallopt(m_mmap_max, 0)
        libc.mallopt(m_trim_threshold, -1)


def batch(
    tokenizer: Tokenizer,
    seed: int,
    rows: int,
    length: int,
    turns: int | None = None,
    weights: tuple[float, ...] = WEIGHTS,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Tokens, next tokens, their weights and the mask that keeps conversations in one row apart."""
    rng = Random(seed)
    ids = torch.zeros(rows, length + 1, dtype=torch.long)
    wanted = torch.zeros(rows, length + 1)
    owner = torch.zeros(rows, length, dtype=torch.long)
    for row in range(rows):
        at, number = 0, 0
        while at < length + 1:
            tokens, shares = words.encode(tokenizer, conversation(rng, turns, weights))
            left = length + 1 - at
            # A conversation that no longer fits whole is cut, not split: its second half would lack its beginning.
            tokens, shares = tokens[:left], shares[:left]
            end = at + len(tokens)
            ids[row, at:end] = torch.tensor(tokens)
            wanted[row, at:end] = torch.tensor(shares)
            wanted[row, at] = 0.0
            owner[row, at:end] = number
            at, number = end, number + 1
    mask = (owner[:, :, None] == owner[:, None, :]).tril_().unsqueeze(1)
    return ids[:, :-1], ids[:, 1:], wanted[:, 1:], mask


def rate(step: int, steps: int) -> float:
    """Share of the learning rate: up over the first steps, level, then down in a line over the last half."""
    if step < WARMUP:
        return (step + 1) / WARMUP
    return min(1.0, max(0.01, (steps - step) / (0.6 * steps)))


def loss_of(
    model: Model, data: tuple[Tensor, Tensor, Tensor, Tensor], teacher: Model | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Weighted loss, mean loss in answers (nats), unevenness of the experts.

    With a teacher the loss is the distance from its whole distribution, not from the one token that came.
    """
    tokens, targets, weights, mask = data
    flat = weights.flatten()
    # All of the answers, a quarter of what users say: that costs less than it teaches.
    wanted = ((flat >= 1) | (torch.rand_like(flat) < 0.25)).nonzero().squeeze(1)
    logits, uneven = model(tokens, mask, wanted)
    if teacher is None:
        each = F.cross_entropy(logits.float(), targets.flatten()[wanted], reduction="none")
    else:
        with torch.no_grad():
            aim = teacher(tokens, mask, wanted)[0].float().log_softmax(-1)
        each = F.kl_div(logits.float().log_softmax(-1), aim, log_target=True, reduction="none").sum(-1)
    flat = flat[wanted]
    answers = (each.detach() * (flat >= 1)).sum() / (flat >= 1).sum()
    return (each * flat).sum() / flat.sum(), answers, uneven


def load_teacher(path: Path) -> Model:
    """The trained target as it is shipped: on the grid of Q4_0."""
    teacher = Model(MOE)
    teacher.load_state_dict(torch.load(path, weights_only=True)["model"])
    teacher.rounded = matrices(teacher)
    return teacher


def save(path: Path, model: Model, tools: list[torch.optim.Optimizer], step: int) -> None:
    fresh = path.with_suffix(".new")
    torch.save({"model": model.state_dict(), "tools": [tool.state_dict() for tool in tools], "step": step}, fresh)
    fresh.replace(path)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("which", choices=SHAPES)
    options.add_argument("--steps", type=int, required=True)
    options.add_argument("--rows", type=int, default=32)
    options.add_argument("--length", type=int, default=256)
    options.add_argument("--out", type=Path, default=OUT)
    args = options.parse_args()

    keep_memory()
    torch.set_num_threads(2)
    torch.manual_seed(1)
    args.out.mkdir(parents=True, exist_ok=True)
    if not (args.out / "tokenizer.json").exists():
        print("training the tokenizer", flush=True)
        words.save(words.train(), args.out)
    tokenizer = words.load(args.out)
    model = Model(SHAPES[args.which])
    tools = optimizers(model)
    base = [tool.param_groups[0]["lr"] for tool in tools]
    path, first = args.out / f"{args.which}.pt", 0
    if path.exists():
        state = torch.load(path, weights_only=True)
        model.load_state_dict(state["model"])
        for tool, saved in zip(tools, state["tools"], strict=True):
            tool.load_state_dict(saved)
        first = state["step"]
    size = sum(p.numel() for p in model.parameters())
    print(f"{args.which}: {size / 1e6:.1f} M parameters, from step {first}", flush=True)

    teacher = load_teacher(args.out / "moe.pt") if args.which == "draft" else None
    stopping: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda got, frame: stopping.append(got))
    model.train()
    saved = mark = time.monotonic()
    shown, done = 0.0, 0
    for step in range(first, args.steps):
        if args.which == "moe" and step >= ROUNDED * args.steps:
            model.rounded = matrices(model)
        for tool, lr in zip(tools, base, strict=True):
            tool.param_groups[0]["lr"] = lr * rate(step, args.steps)
        if step >= LONG_FROM * args.steps and step % LONG_EACH == 0:
            data = batch(tokenizer, step, args.rows // 4, 4 * args.length, LONG_TURNS)
        else:
            early = step < COPYING_UNTIL * args.steps
            data = batch(tokenizer, step, args.rows, args.length, weights=COPYING_FIRST if early else WEIGHTS)
        loss, answers, uneven = loss_of(model, data, teacher)
        (loss + 0.01 * uneven).backward()
        for tool in tools:
            tool.step()
            tool.zero_grad(set_to_none=True)
        shown += answers.item()
        done += 1
        if (step + 1) % 20 == 0:
            each = (time.monotonic() - mark) / done
            print(
                f"step {step + 1}/{args.steps}  answers {shown / done:.4f}  uneven {uneven.item():.3f}  "
                f"{args.rows * args.length / each:.0f} tokens/s  {(args.steps - step - 1) * each / 60:.0f} min left",
                flush=True,
            )
            mark, shown, done = time.monotonic(), 0.0, 0
        if time.monotonic() - saved > SAVE_EVERY or step + 1 == args.steps or stopping:
            save(path, model, tools, step + 1)
            saved = time.monotonic()
        if stopping:
            print(f"stopped after step {step + 1}", flush=True)
            return


if __name__ == "__main__":
    main()
