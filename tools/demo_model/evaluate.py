"""Asks the shipped models three examinations of 60 questions, and measures how often the draft guesses the next token.

python -m tools.demo_model.evaluate [--verbose]
"""

import argparse
import re
import sys
from collections import Counter
from itertools import chain
from pathlib import Path
from random import Random

from llama_cpp import Llama
from llama_cpp.llama_chat_format import Jinja2ChatFormatter

from .corpus import conversation
from .examination import EXAMINATIONS, Question
from .examination.unseen import check_unseen

DEMO = Path(__file__).parents[2] / "runtime" / "demo"
ANSWER = 160


class Chat:
    """Greedy decoding of one GGUF, through its own chat template."""

    def __init__(self, path: Path) -> None:
        self.llama = Llama(str(path), n_ctx=1024, n_threads=2, n_threads_batch=2, logits_all=True, verbose=False)
        self.end = self.llama.token_eos()
        self.template = Jinja2ChatFormatter(
            self.llama.metadata["tokenizer.chat_template"], eos_token="", bos_token="", add_generation_prompt=True
        )

    def prompt(self, messages: list) -> list[int]:
        text = self.template(messages=messages).prompt
        return self.llama.tokenize(text.encode(), add_bos=False, special=True)

    def answer(self, messages: list) -> tuple[list[int], list[int], str]:
        """Tokens of the prompt, tokens of the answer (its end token with them) and the answer's text."""
        prompt, tokens = self.prompt(messages), []
        for token in self.llama.generate(prompt, temp=0.0, top_k=1, repeat_penalty=1.0):
            tokens.append(token)
            if token == self.end or len(tokens) == ANSWER:
                break
        text = self.llama.detokenize([t for t in tokens if t != self.end]).decode("utf-8", "replace")
        return prompt, tokens, text

    def guesses(self, prompt: list[int], tokens: list[int]) -> list[int]:
        """The most likely token at each position of an answer that is already known."""
        self.llama.reset()
        self.llama.eval(prompt + tokens)
        rows = self.llama.scores[len(prompt) - 1 : len(prompt) + len(tokens) - 1]
        return rows.argmax(-1).tolist()


def ask(chat: Chat, question: Question) -> tuple[str, list[tuple[list[int], list[int]]]]:
    """The last answer, and prompt and tokens of every answer."""
    messages: list = []
    answers = []
    text = ""
    for turn in question.turns:
        messages.append({"role": "user", "content": turn})
        prompt, tokens, text = chat.answer(messages)
        answers.append((prompt, tokens))
        messages.append({"role": "assistant", "content": text})
    return text, answers


def conversations(chat: Chat, at_least: int) -> list[tuple[list[int], list[int]]]:
    """Answers of the target on conversations of the corpus's kind that were never trained on."""
    answers: list[tuple[list[int], list[int]]] = []
    seed = 10**9
    while sum(len(tokens) for _, tokens in answers) < at_least:
        asked = conversation(Random(seed))
        seed += 1
        messages: list = []
        for message in asked:
            if message["role"] == "assistant":
                prompt, tokens, text = chat.answer(messages)
                if len(prompt) + len(tokens) > 900:
                    break
                answers.append((prompt, tokens))
                messages.append({"role": "assistant", "content": text})
            else:
                messages.append(message)
    return answers


def agreement(draft: Chat, answers: list[tuple[list[int], list[int]]]) -> tuple[int, int]:
    """Tokens of the target that the draft guesses, of how many."""
    right = total = 0
    for prompt, tokens in answers:
        right += sum(a == b for a, b in zip(draft.guesses(prompt, tokens), tokens, strict=True))
        total += len(tokens)
    return right, total


def examine(
    chat: Chat, name: str, questions: tuple[Question, ...], verbose: bool
) -> tuple[float, list[tuple[list[int], list[int]]]]:
    """Prints how many are right in each topic; the share that is right, and the answers as `ask` returns them."""
    right: Counter[str] = Counter()
    asked: Counter[str] = Counter()
    answers = []
    for question in questions:
        text, spoken = ask(chat, question)
        answers += spoken
        good = re.search(question.right, text, re.IGNORECASE) is not None
        right[question.topic] += good
        asked[question.topic] += 1
        if verbose or not good:
            print(f"{'right' if good else 'WRONG'}  {' / '.join(question.turns)}\n       -> {text}")
    print(f"\n{name} examination\ntopic        right  asked")
    for topic in asked:
        print(f"{topic:<12} {right[topic]:>5} {asked[topic]:>6}")
    share = right.total() / asked.total()
    print(f"{'all':<12} {right.total():>5} {asked.total():>6}   {share:.0%}\n")
    return share, answers


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--target", type=Path, default=DEMO / "accel-demo-moe.gguf")
    options.add_argument("--draft", type=Path, default=DEMO / "accel-demo-draft.gguf")
    options.add_argument("--verbose", action="store_true", help="every question with its answer")
    args = options.parse_args()

    for question in chain(*EXAMINATIONS.values()):
        check_unseen(question)
    chat = Chat(args.target)
    shares, spoken = [], {}
    for name, questions in EXAMINATIONS.items():
        share, spoken[f"the {name} examination"] = examine(chat, name, questions, args.verbose)
        shares.append(share)
    if args.draft.exists():
        draft = Chat(args.draft)
        spoken["unseen conversations"] = conversations(chat, 3000)
        for what, answers in spoken.items():
            same, total = agreement(draft, answers)
            print(f"draft and target agree on {same} of {total} greedy tokens ({same / total:.0%}) over {what}")
    return 0 if min(shares) >= 0.85 else 1


if __name__ == "__main__":
    sys.exit(main())
