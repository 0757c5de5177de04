"""Texts to draft for: prompts, and where people wrote what follows, that too. The same every time.

Kinds: `gsm8k` problems with their recorded solutions; `copying`, a passage to be repeated; `revision`, a passage to be
written again with a name changed, a sentence dropped, words replaced, or all of it; `code`, a function of this
repository to be written again with a variable renamed and a docstring; `novel`, prose that goes on and repeats nothing;
`mt_bench` questions, `talk` that the demonstration model knows about, and `tale`, the beginnings of small stories: none
of these has an answer that somebody wrote."""

import ast
import json
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path

from speculate_recording import Half

ROOT = Path(__file__).resolve().parents[2]
PROMPTS = ROOT.parent / "shared" / "assets" / "prompts"
_EACH = 8  # of a kind: one half to tune with, one to report
_WORDS = {
    "was": "had been", "were": "had been", "also": "moreover", "first": "earliest", "however": "yet",
    "after": "following", "many": "numerous", "large": "sizeable", "used": "employed", "began": "started",
}  # fmt: skip
_ASKED = (
    "Tell me a story about a fox.", "Tell me a story about a cat and a dog.", "Count from one to twenty.",
    "Tell me a short story.", "What can you do?", "Tell me a story about a bear.", "How do I run accel?",
    "Tell me a story about a bird.",
)  # fmt: skip
_NAMES = ("Ellis", "Harding", "Quint", "Osgood", "Lavery", "Bram", "Tolliver")  # for words that the data leaves out


@dataclass(frozen=True, slots=True)
class Text:
    kind: str
    name: str
    half: Half
    prompt: str
    continuation: str = ""  # "": nobody wrote one


def texts(kind: str) -> list[Text]:
    """Every second one belongs to the half that is reported. Raises SystemExit where the data is not there."""
    if not PROMPTS.is_dir():
        raise SystemExit(f"{PROMPTS} is not there: these texts are no part of the repository")
    made = islice(KINDS[kind](), _EACH)
    return [
        Text(kind, f"{kind}{number}", "report" if number % 2 else "tune", prompt, continuation)
        for number, (prompt, continuation) in enumerate(made)
    ]


def _gsm8k() -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for line in (PROMPTS / "gsm8k_test.jsonl").read_text("utf-8").splitlines():
        problem = json.loads(line)
        answer = re.sub(r"<<.*?>>", "", problem["answer"])
        if len(answer) > 350:
            found.append((f"Question: {problem['question']}\nAnswer:", f" {answer}\n"))
    return found


def _mt_bench() -> list[tuple[str, str]]:
    lines = (PROMPTS / "mt_bench_question.jsonl").read_text("utf-8").splitlines()
    return [(f"{json.loads(line)['turns'][0]}\n\n", "") for line in lines[:: len(lines) // _EACH]]


def _talk() -> list[tuple[str, str]]:
    return [(f"<|im_start|>user\n{each}<|im_end|>\n<|im_start|>assistant\n", "") for each in _ASKED]


def _tale() -> list[tuple[str, str]]:
    text = (PROMPTS / "tinystories_sample_4k.txt").read_text("utf-8")
    stories = [" ".join(each.split()) for each in text.split("<|endoftext|>")]
    return [(each[: each.index(". ") + 1], "") for each in stories if ". " in each][:_EACH]


def _passages() -> list[str]:
    """Of an encyclopedia, as one would type them."""
    text = (PROMPTS / "wikitext2_test.txt").read_text("utf-8")
    names = cycle(_NAMES)
    text = re.sub("<unk>", lambda _: next(names), text)
    text = re.sub(r" @(.)@ ", r"\1", text)
    text = re.sub(r" ([.,;:!?)'])", r"\1", text).replace("( ", "(")
    paragraphs = [line.strip() for line in text.splitlines()]
    return [each for each in paragraphs if 900 < len(each) < 1500 and each.count(". ") >= 4][::3]


def _copying() -> list[tuple[str, str]]:
    return [(f"Repeat this passage word for word.\n\n{each}\n\nThe passage again:\n\n", each) for each in _passages()]


def _revision() -> list[tuple[str, str]]:
    asks = ("Change the name in this passage", "Leave the third sentence out of this passage",
            "Replace some words in this passage", "Revise this passage")  # fmt: skip
    return [
        (f"{asks[number % 4]}.\n\n{each}\n\nRevised:\n\n", _revised(each, number % 4))
        for number, each in enumerate(_passages()[_EACH:])
    ]


def _revised(passage: str, how: int) -> str:
    if how in (0, 3):
        names = Counter(re.findall(r"(?<=[a-z,] )[A-Z][a-z]+", passage))
        (name, _), *_ = names.most_common(1) or [("The", 0)]
        passage = re.sub(rf"\b{name}\b", "Marlowe", passage)
    if how in (1, 3):
        sentences = passage.split(". ")
        passage = ". ".join(sentences[:2] + sentences[3:])
    if how in (2, 3):
        passage = re.sub(r"\b\w+\b", lambda word: _WORDS.get(word[0], word[0]), passage)
    return passage


def _code() -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for folder in ("runtime", "offload"):
        for path in sorted((ROOT / folder).glob("*.py")):
            source = path.read_text("utf-8")
            for node in ast.parse(source).body:
                if isinstance(node, ast.FunctionDef) and 18 <= len(ast.unparse(node).splitlines()) <= 40:
                    found += _edited(node)
                    break  # one of a file
    return found


def _edited(function: ast.FunctionDef) -> list[tuple[str, str]]:
    """A function before and after an edit; none where it has no variable."""
    inner = [node.id for node in ast.walk(function) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)]
    if not inner:
        return []
    name, new = Counter(inner).most_common(1)[0][0], "current_value"
    before = ast.unparse(function)
    lines = re.sub(rf"\b{name}\b", new, before).splitlines()
    has_docstring = ast.get_docstring(function) is not None
    lines[1 : 1 + has_docstring] = [f'    """Does what {function.name} did, with {new} for {name}."""']
    ask = f"Rename {name} to {new} in this function, and give it a docstring."
    return [(f"{ask}\n\n```python\n{before}\n```\n\n```python\n", "\n".join(lines) + "\n```\n")]


def _novel() -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for start in range(60_000, 60_000 + _EACH // 2 * 80_000, 80_000):
        for name in ("moby_dick", "pride_and_prejudice"):
            text = (PROMPTS / "long" / f"{name}.txt").read_text("utf-8")
            begin = text.index("\n\n", start) + 2
            found.append((text[begin : begin + 3000], text[begin + 3000 : begin + 4500]))
    return found


KINDS: dict[str, Callable[[], list[tuple[str, str]]]] = {
    "gsm8k": _gsm8k,
    "copying": _copying,
    "revision": _revision,
    "code": _code,
    "novel": _novel,
    "mt_bench": _mt_bench,
    "talk": _talk,
    "tale": _tale,
}
UNANSWERED = ("mt_bench", "talk", "tale")
