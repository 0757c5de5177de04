"""How many guesses of a draft model each rule of acceptance lets stand, on real logits of a pair of models.

    python tools/bench/rules.py [TARGET.gguf DRAFT.gguf] [--temperature 0.8] [--tokens 600] [--seeds 16]

Both models read the same text, which the target wrote. Of every position the laws of both are known, and with them what
a guess that follows it has to hope for:

    ratio        sum of min(p, q): the rule of speculative sampling, at its best
    shared       how often both choose alike with the same noise, over so many seeds: accel's rule
    independent  sum of p q: how often they do with noise of their own
    greedy       p of the draft's likeliest token: a guess that was not drawn

Prints a JSON line.
"""

import argparse
from pathlib import Path

import numpy as np
from pairs import report

from accel.runtime import demo
from accel.runtime.engines import open_engine
from accel.runtime.engines.base import Batch, Engine
from accel.runtime.engines.options import EngineOptions
from accel.runtime.law import Law
from accel.runtime.sampling import Sampler

PROMPT = "<|im_start|>user\nTell me a story.<|im_end|>\n<|im_start|>assistant\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", default=[str(demo.target()), str(demo.draft())])
    parser.add_argument("--prompt", default=PROMPT)
    parser.add_argument("--temperature", type=float, default=0.8)
    parser.add_argument("--tokens", type=int, default=600)
    parser.add_argument("--seeds", type=int, default=16)
    asked = parser.parse_args()
    target, draft = (_open(path, asked.tokens + 512) for path in asked.models)
    law = Law(temperature=asked.temperature, seed=0)
    samplers = [
        Sampler(Law(temperature=asked.temperature, seed=seed), target.vocabulary.size) for seed in range(asked.seeds)
    ]
    tokens = target.vocabulary.encode(asked.prompt, start=True)
    for engine in (target, draft):
        engine.forward(Batch.chain(0, tokens[:-1], wants="none"))
        engine.commit(0, range(len(tokens) - 1))
    writer = Sampler(law, target.vocabulary.size)
    found = {"ratio": [], "shared": [], "independent": [], "greedy": []}
    for position in range(len(tokens), len(tokens) + asked.tokens):
        ours, theirs = (_next(engine, tokens[-1]) for engine in (target, draft))
        p, q = (writer.probabilities(row) for row in (ours, theirs))
        found["ratio"].append(np.minimum(p, q).sum())
        found["shared"].append(
            np.mean([each.choose(ours, position) == each.choose(theirs, position) for each in samplers])
        )
        found["independent"].append((p * q).sum())
        found["greedy"].append(p[theirs.argmax()])
        tokens.append(writer.choose(ours, position))  # also where a turn ends: it goes on as it likes
    shares = {rule: round(float(np.mean(each)), 4) for rule, each in found.items()}
    report(models=[Path(path).name for path in asked.models], temperature=asked.temperature, **shares)


def _open(path: str, context: int) -> Engine:
    return open_engine("llamacpp", EngineOptions(path, context=context, outputs=1, threads=2, threads_prefill=2))


def _next(engine: Engine, token: int) -> np.ndarray:
    row = engine.forward(Batch.chain(0, [token])).row(0).copy()
    engine.commit(0, [0])
    return row


if __name__ == "__main__":
    main()
