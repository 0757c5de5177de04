import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, pre_tokenizers, processors

from accel.errors import ConvertError
from accel.exporters.checkpoint import Config
from accel.exporters.gguf import convert
from accel.exporters.tokenizer import CONTROL, DIGITS, KNOWN, NORMAL, UNUSED, USER_DEFINED, read_vocabulary

from .checkpoints import CORPUS, SPECIAL, make_tokenizer, split_by, write_checkpoint
from .llama import Llama

TEXTS = [
    CORPUS,
    "",
    " ",
    "a  b   c\t\t\n\n \r\n d",
    "don't DON'T we'Re '\u017f",
    "1234567890 12.5 ²Ⅷ١٢٣",
    "naïve e\u0301 日本語 한국어 हिन्दी",
    "\u200b\ufeff\u00a0\u3000\u2028\u0085 end",
    "🎉👩‍👩‍👧",
    f"{SPECIAL[1]}user\nhi{SPECIAL[2]}\n{SPECIAL[0]}",
    "<|im_start|<|im_end|>>",
]


def splitter(steps):
    if steps[0] == DIGITS:
        return pre_tokenizers.Sequence(
            [
                pre_tokenizers.Digits(individual_digits=True),
                pre_tokenizers.ByteLevel(add_prefix_space=False),
            ]
        )
    return split_by(steps[0]) if "\\r" in steps[0] else pre_tokenizers.ByteLevel(add_prefix_space=False)


@pytest.fixture(scope="module", params=KNOWN, ids=list(KNOWN.values()))
def both(request, tmp_path_factory):
    """A tokenizer with known rules, and llama.cpp with the GGUF made of it."""
    rules = request.param
    theirs = make_tokenizer(splitter(rules.steps), ignore_merges=rules.ignore_merges)
    folder = write_checkpoint(tmp_path_factory.mktemp("checkpoint"), tokenizer=theirs)
    convert(folder, folder / "model.gguf")
    with Llama(folder / "model.gguf", vocabulary_only=True) as ours:
        yield theirs, ours


@pytest.mark.parametrize("text", TEXTS, ids=ascii)
def test_llama_cpp_splits_text_as_the_tokenizer_does(both, text):
    theirs, ours = both
    tokens = theirs.encode(text, add_special_tokens=False).ids
    assert ours.tokenize(text) == tokens
    assert ours.detokenize(tokens) == text


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0") | st.sampled_from(CORPUS)))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_becomes_the_same_tokens(both, text):
    theirs, ours = both
    assert ours.tokenize(text) == theirs.encode(text, add_special_tokens=False).ids


@pytest.fixture
def read(tmp_path):
    """Writes a tokenizer with its configuration, and reads it as a vocabulary of 600."""

    def read(tokenizer=None, about=None, config=(), size=600, **files):
        tokenizer = tokenizer or make_tokenizer()
        text = tokenizer if isinstance(tokenizer, str) else tokenizer.to_str()
        (tmp_path / "tokenizer.json").write_text(text)
        (tmp_path / "tokenizer_config.json").write_text(json.dumps(about or {}))
        for name, content in files.items():
            (tmp_path / name.replace("__", ".")).write_text(content)
        return read_vocabulary(tmp_path, size, Config(tmp_path / "config.json", dict(config)))

    return read


def changed(**changes) -> str:
    """tokenizer.json with other values at its top."""
    return json.dumps(json.loads(make_tokenizer().to_str()) | changes)


def test_tokens_have_their_types_and_missing_ids_are_unused(read):
    tokenizer = make_tokenizer()
    tokenizer.add_tokens(["<tool>"])
    found = read(tokenizer)
    assert found.tokens[590:] == [*SPECIAL, "<tool>", *(f"[PAD{number}]" for number in range(594, 600))]
    assert found.types == [NORMAL] * 590 + [CONTROL] * 3 + [USER_DEFINED] + [UNUSED] * 6


def test_ends_come_from_all_places_that_name_one(read):
    found = read(
        about={"eos_token": {"content": "<|im_end|>"}, "pad_token": "<|endoftext|>", "bos_token": None},
        config={"eos_token_id": 590, "bos_token_id": 7},
        generation_config__json='{"eos_token_id": [592, 591]}',
    )
    assert found.ids == {"bos": 7, "eos": 592, "eot": 590, "eom": 591, "pad": 590}


def test_no_bos_is_no_bos(read):
    assert "bos" not in read(about={"bos_token": None}, config={"bos_token_id": None}).ids


@pytest.mark.parametrize(
    ("single", "about", "adds"),
    [
        ("$A", {}, (False, False)),
        ("<|endoftext|> $A", {}, (True, False)),
        ("<|endoftext|> $A <|im_end|>", {}, (True, True)),
        ("$A <|im_end|>", {}, (False, True)),
        ("<|endoftext|> $A", {"add_bos_token": False}, (False, False)),
        ("$A", {"add_bos_token": True}, (True, False)),
    ],
)
def test_bos_and_eos_are_added_where_the_tokenizer_adds_them(read, single, about, adds):
    tokenizer = make_tokenizer()
    tokenizer.post_processor = processors.Sequence(
        [
            processors.ByteLevel(trim_offsets=False),
            processors.TemplateProcessing(
                single=single, special_tokens=[(text, tokenizer.token_to_id(text)) for text in SPECIAL]
            ),
        ]
    )
    found = read(tokenizer, about={"bos_token": "<|endoftext|>", "eos_token": "<|im_end|>"} | about)
    assert (found.add_bos, found.add_eos) == adds


def test_llama_cpp_adds_the_bos(tmp_path):
    write_checkpoint(tmp_path, about={"bos_token": "<|endoftext|>", "eos_token": "<|im_end|>", "add_bos_token": True})
    convert(tmp_path, tmp_path / "model.gguf")
    with Llama(tmp_path / "model.gguf", vocabulary_only=True) as model:
        assert model.tokenize("hi", add_special=True) == [590, *model.tokenize("hi")]


@pytest.mark.parametrize(
    ("about", "files", "template"),
    [
        ({}, {}, ""),
        ({"chat_template": "one"}, {}, "one"),
        ({"chat_template": [{"name": "tool", "template": "t"}, {"name": "default", "template": "d"}]}, {}, "d"),
        ({"chat_template": "one"}, {"chat_template__jinja": "alone"}, "alone"),
        ({"chat_template": [{"name": ["default"]}, 3]}, {}, ""),
    ],
)
def test_the_chat_template_is_found(read, about, files, template):
    assert read(about=about, **files).chat_template == template


def test_merges_may_be_written_as_text_or_as_pairs(read):
    model = json.loads(make_tokenizer().to_str())["model"]
    pairs = [tuple(pair) for pair in model["merges"]]
    as_text = changed(model=model | {"merges": [" ".join(pair) for pair in pairs]})
    assert read(as_text).merges == read(changed(model=model)).merges == [" ".join(pair) for pair in pairs]


def test_nfc_is_accepted_because_it_leaves_nearly_every_text_alone(read):
    assert read(changed(normalizer={"type": "NFC"})).rules == "gpt-2"


BPE = {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": ["a b"]}
SPLIT_ONLY = {
    "type": "Split",
    "pattern": {"Regex": next(iter(KNOWN)).steps[0]},
    "behavior": "Isolated",
    "invert": False,
}
BYTES = {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True}


def bpe(**changes) -> str:
    return json.dumps({"model": BPE | changes, "pre_tokenizer": BYTES})


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "not what it should be"),
        ("[" * 100_000, "not what it should be"),
        (json.dumps({"model": {"type": "Unigram", "vocab": [["a", 0.0]]}}), "kind 'Unigram'"),
        (json.dumps({"model": BPE}), "splits text by rules"),
        (json.dumps({"model": BPE, "pre_tokenizer": {"type": "Whitespace"}}), "splits text by rules"),
        (json.dumps({"model": BPE, "pre_tokenizer": BYTES | {"add_prefix_space": True}}), "splits text by rules"),
        (json.dumps({"model": BPE, "pre_tokenizer": {"type": "Sequence", "pretokenizers": 3}}), "should be"),
        (json.dumps({"model": BPE, "pre_tokenizer": SPLIT_ONLY}), "splits text by rules"),
        (json.dumps({"model": BPE | {"ignore_merges": True}, "pre_tokenizer": BYTES}), "splits text by rules"),
        (json.dumps({"model": BPE, "pre_tokenizer": BYTES, "normalizer": {"type": "Lowercase"}}), "rewrites text"),
        (bpe(byte_fallback=True), "no byte-level BPE"),
        (bpe(merges=[]), "no byte-level BPE"),
        (bpe(merges=["ab"]), "not of two parts"),
        (bpe(merges=["a b c"]), "not of two parts"),
        (bpe(merges=[["a ", "b"]]), "not of two parts"),
        (bpe(vocab={"a": 0, "b": 0}), "one id"),
        (bpe(vocab={"a": 600}), "outside the 600"),
        (bpe(vocab={"a": -1}), "outside the 600"),
        (bpe(vocab={"a": 2**70}), "outside the 600"),
        (bpe(vocab={"a\0": 1}), "ends early"),
        (bpe(vocab={"[PAD1]": 0}), "twice"),
        (bpe(vocab={}), "outside the 600"),
        (json.dumps({"model": BPE, "pre_tokenizer": BYTES, "added_tokens": [{"id": 0, "content": "z"}]}), "the id 0"),
    ],
)
def test_a_tokenizer_that_cannot_be_is_refused(read, text, why):
    with pytest.raises(ConvertError, match=why):
        read(text)


def test_tokens_that_take_spaces_along_are_refused(read):
    tokenizer = make_tokenizer()
    tokenizer.add_special_tokens([AddedToken("<mask>", lstrip=True)])
    with pytest.raises(ConvertError, match="takes the spaces"):
        read(tokenizer)


def test_a_post_processor_that_adds_more_is_refused(read):
    tokenizer = make_tokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<|im_start|> <|endoftext|> $A", special_tokens=[(text, tokenizer.token_to_id(text)) for text in SPECIAL]
    )
    with pytest.raises(ConvertError, match="adds more"):
        read(tokenizer, about={"bos_token": "<|endoftext|>"})


@pytest.mark.parametrize(
    ("about", "config", "why"),
    [
        ({"eos_token": "nowhere"}, {}, "lacks the token"),
        ({"eos_token": ["x"]}, {}, "lacks the token"),
        ({}, {"eos_token_id": 600}, "claims 600"),
        ({}, {"eos_token_id": [[1]]}, "claims"),
        ({}, {"bos_token_id": "1"}, "claims"),
        ({}, {"eos_token_id": [1, 2, 3, 4]}, "ends texts by 4"),
        ({"add_bos_token": "yes"}, {}, "no bool"),
    ],
)
def test_special_tokens_that_cannot_be_are_refused(read, about, config, why):
    with pytest.raises(ConvertError, match=why):
        read(about=about, config=config)


def test_a_vocabulary_larger_than_any_is_refused_before_memory_is_taken(read):
    with pytest.raises(ConvertError, match="outside the 16777216"):
        read(size=2**24)


def test_a_real_tokenizer_is_the_same_in_llama_cpp(trained):
    theirs = Tokenizer.from_file(str(trained.folder("moe") / "tokenizer.json"))
    with Llama(trained.gguf("moe", "F16"), vocabulary_only=True) as ours:
        for text in TEXTS:
            tokens = theirs.encode(text, add_special_tokens=False).ids
            assert ours.tokenize(text) == tokens
            assert ours.detokenize(tokens) == text
