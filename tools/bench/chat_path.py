"""The whole chat path against a C-speed loop: what the worker, scheduling, sampling and detokenising cost.

python tools/bench/chat_path.py MODEL.gguf [--context 4096] [--pairs 12] [--starts 4] [--tokens 128]

Ours is what `accel chat` runs: a worker process under the plan for this machine, its events read by the front. The
rival is c_loop.c: `llama_decode` and llama.cpp's sampler chain in one process, with the options the plan chose. They
are measured in alternation, started anew a few times, and answer one prompt again and again. The rival decodes the
tokens that ours chose: others would use other experts. Prints a JSON line for a prefill of 2,000 tokens and one for
decoding.
"""

import argparse
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import llama_cpp
from pairs import alternate, ratio_of, report

from accel.runtime.engines.options import EngineOptions
from accel.runtime.law import Law
from accel.runtime.messages import Finished
from accel.runtime.plan import engine_options
from accel.runtime.planning import goal_of, plan_or_raise, this_machine
from accel.runtime.settings import Settings
from accel.runtime.supervisor import Supervisor

PROMPT = "<|im_start|>user\nTell me a story about a fox.<|im_end|>\n<|im_start|>assistant\n"


class CLoop:
    """The rival: compiled here, told what to do line by line."""

    def __init__(self, folder: Path, options: EngineOptions) -> None:
        program = folder / "c_loop"
        libraries = Path(llama_cpp.__file__).parent / "lib"
        source = Path(__file__).with_name("c_loop.c")
        include = Path(sysconfig.get_path("purelib")) / "include"
        names = ("llama", "ggml", "ggml-base", "ggml-cpu")
        subprocess.run(
            ["cc", "-O2", "-o", program, source, f"-I{include}", f"-L{libraries}", f"-Wl,-rpath,{libraries}"]
            + [f"-l{name}" for name in names],
            check=True,
        )
        numbers = (options.context, options.ubatch, options.threads, options.threads_prefill)
        words = [options.path, *map(str, numbers), options.kv_type, str(int(options.repack))]
        self._process = subprocess.Popen([program, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._said()

    def _said(self) -> str:
        assert self._process.stdout
        return self._process.stdout.readline()

    def _ask(self, *words: object) -> float:
        assert self._process.stdin
        self._process.stdin.write(" ".join(map(str, words)) + "\n")
        self._process.stdin.flush()
        return float(self._said())

    def decode_rate(self, prompt: Sequence[int], answers: Sequence[Sequence[int]]) -> float:
        self._ask("T", len(prompt), *prompt)
        return sum(map(len, answers)) / sum(self._ask("D", len(answer), *answer) for answer in answers)

    def prefill_rate(self, prompt: Sequence[int]) -> float:
        self._ask("T", len(prompt), *prompt)
        return len(prompt) / self._ask("P", len(prompt))

    def close(self) -> None:
        self._process.communicate(timeout=30)


class Ours:
    """A worker under the plan, as the chat runs it."""

    def __init__(self, options: EngineOptions, seed: int) -> None:
        self._worker = Supervisor("llamacpp", options)
        self._worker.wait()
        self._seed = seed
        self.answers: list[tuple[int, ...]] = []  # what was decoded last; always the same

    def encode(self, text: str) -> tuple[int, ...]:
        return self._worker.encode((text,))

    def decode_rate(self, prompt: Sequence[int], tokens: int) -> float:
        """Tokens a second after the first, by the worker's clock: how late a front hears of the first word would count
        in our favour. An answer that ends early is followed by another."""
        done, seconds, self.answers = 0, 0.0, []
        while done < tokens:
            law = Law(seed=self._seed + len(self.answers))
            with self._worker.generate("bench", (prompt,), law, most=tokens - done + 1) as answer:
                for step in answer:
                    if isinstance(step, Finished):
                        decoded = step.usage.generated - (step.reason != "end")  # the token that ends is decoded too
                        if decoded < 1:
                            raise SystemExit("the model answers nothing")
                        self.answers.append(step.tokens[:decoded])
                        done += decoded
                        seconds += step.timings.decode
        return done / seconds

    def prefill_rate(self, prompt: Sequence[int]) -> float:
        self._worker.forget("bench")
        start = time.perf_counter()
        with self._worker.generate("bench", (prompt,), Law(), most=1) as answer:
            for _ in answer:
                pass
        return len(prompt) / (time.perf_counter() - start)

    def close(self) -> None:
        self._worker.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--context", type=int, default=4096)
    parser.add_argument("--pairs", type=int, default=12, help="in all")
    parser.add_argument("--starts", type=int, default=4, help="of both processes: the pairs are shared out among them")
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--rows", type=int, default=2000)
    given = parser.parse_args()
    settings = Settings(model=str(given.model), context=given.context)
    plan = plan_or_raise(given.model, goal_of(settings), this_machine(lambda _: None), lambda _: None)
    options = engine_options(plan)
    print(options, file=sys.stderr)
    rates: dict[str, tuple[list[float], list[float]]] = {"prefill": ([], []), "decode": ([], [])}
    for start in range(given.starts):
        seed, pairs = 1000 * start, given.pairs // given.starts
        for what, (mine, rival) in _started(options, seed, given.tokens, given.rows, pairs).items():
            rates[what][0].extend(mine)
            rates[what][1].extend(rival)
    for what, (mine, rival) in rates.items():
        report(
            what=what,
            model=given.model.name,
            threads=options.threads,
            ours=sum(mine) / len(mine),
            theirs=sum(rival) / len(rival),
            starts=given.starts,
            ratio=ratio_of(mine, rival, given.starts),
        )


def _started(
    options: EngineOptions, seed: int, tokens: int, rows: int, pairs: int
) -> dict[str, tuple[list[float], list[float]]]:
    """Rates of ours and of the rival, both started for this."""
    with tempfile.TemporaryDirectory() as folder:
        theirs, ours = CLoop(Path(folder), options), Ours(options, seed)
        prompt = ours.encode(PROMPT)
        long = (prompt * rows)[:rows]
        found = {
            "prefill": alternate(lambda: ours.prefill_rate(long), lambda: theirs.prefill_rate(long), pairs),
            "decode": alternate(
                lambda: ours.decode_rate(prompt, tokens), lambda: theirs.decode_rate(prompt, ours.answers), pairs
            ),
        }
        ours.close()
        theirs.close()
    return found


if __name__ == "__main__":
    main()
