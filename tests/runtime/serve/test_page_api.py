"""What the page asks is answered: conversations that are kept, plans with their reasons, a model at work."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from accel.errors import UsageError
from accel.runtime.engines.fake import TEMPLATE
from accel.runtime.footprint import Allocation
from accel.runtime.serve.conversations import Conversation, Message
from accel.runtime.serve.conversing import Turn, turn_of
from accel.runtime.serve.export import as_markdown, file_name
from accel.runtime.serve.keys import Keys, _hash
from accel.runtime.serve.plan_view import GROUPS, group_of
from accel.units import Bytes

from .paging import TOKEN, Page, a_page_daemon, said
from .serving import served

SCRIPT = (("Hello", "Good day."), ("Tell", "Once upon a time."), ("Other", "Another one."))
Start = Callable[..., Page]


@pytest.fixture(scope="module")
def shared() -> Iterator[Page]:
    """A daemon that tests share; each begins conversations of its own."""
    with served(a_page_daemon(script=SCRIPT)) as url:
        yield Page(url)


@pytest.fixture
def start() -> Iterator[Start]:
    """Daemons of a test's own."""
    with ExitStack() as stack:
        yield lambda **options: Page(stack.enter_context(served(a_page_daemon(**options))))


def test_an_answer_streams_and_is_kept(shared):
    id = shared.begin()
    events = shared.answer(id, "Hello")
    assert events[0]["type"] == "reading" and said(events) == "Good day."
    assert events[-1]["type"] == "ended" and events[-1]["reason"] == "end"
    assert events[-1]["usage"]["generated"] and "decode" in events[-1]["timings"]
    assert shared.messages(id) == [("user", "Hello"), ("assistant", "Good day.")]
    _, listed = shared.ask("GET", "/api/conversations?search=good+DAY")
    assert [(each["id"], each["title"], each["excerpt"]) for each in listed["conversations"]] == [
        (id, "Hello", "Good day.")
    ]


def test_the_next_turn_reads_nothing_twice(shared):
    id = shared.begin()
    before = shared.answer(id, "Tell")[-1]["usage"]
    after = shared.answer(id, "Hello")[-1]["usage"]
    assert after["reused"] == before["prompt"] + before["generated"]


def test_an_earlier_message_is_edited_and_the_rest_is_gone(shared):
    id = shared.begin()
    shared.answer(id, "Hello")
    shared.answer(id, "Tell")
    assert said(shared.answer(id, "Other", replace=0)) == "Another one."
    assert shared.messages(id) == [("user", "Other"), ("assistant", "Another one.")]


def test_the_last_message_is_answered_again(shared):
    id = shared.begin()
    shared.answer(id, "Hello")
    assert said(shared.answer(id, retry=True)) == "Good day."
    assert shared.messages(id) == [("user", "Hello"), ("assistant", "Good day.")]


def test_thoughts_are_kept_beside_the_answer_and_not_shown_to_the_model_again(start):
    page = start(
        script=(("Hello", "<think>Somebody greets.</think>Good day."),), template=f"{{# <think></think> #}}{TEMPLATE}"
    )
    id = page.begin()
    events = page.answer(id, "Hello")
    assert said(events) == "Good day."
    assert "".join(event["text"] for event in events if event["type"] == "text" and event["thought"])
    _, found = page.ask("GET", f"/api/conversations/{id}")
    assert found["messages"][1]["thought"] == "Somebody greets." and found["messages"][1]["content"] == "Good day."
    before = events[-1]["usage"]
    assert page.answer(id, "And?")[-1]["usage"]["reused"] < before["prompt"] + before["generated"]


@pytest.mark.parametrize("wish", [{"text": " "}, {"retry": True}, {"text": "a", "replace": 0}, {"text": 5}, {}])
def test_what_cannot_be_meant_is_told_and_changes_nothing(shared, wish):
    id = shared.begin()
    status, told = shared.ask("POST", f"/api/conversations/{id}/answer", wish)
    assert status == 400 and told["type"] == "error" and told["message"]
    assert shared.messages(id) == []


def test_stopping_keeps_what_was_answered_and_says_so(start):
    page = start(script=(("Hello", "x" * 2000),), seconds_per_forward=0.005)
    id = page.begin()
    events = page.events(id, {"text": "Hello"})
    while next(events)["type"] != "text":
        pass
    assert page.ask("DELETE", f"/api/conversations/{id}/answer")[0] == 204
    *_, last = events
    (_, (role, text)) = page.messages(id)
    assert last["reason"] == "cancelled" and role == "assistant" and 0 < len(text) < 2000
    assert page.ask("DELETE", f"/api/conversations/{id}/answer")[0] == 404


def test_who_goes_away_finds_what_was_answered(start):
    page = start(script=(("Hello", "x" * 2000),), seconds_per_forward=0.005)
    id = page.begin()
    events = page.events(id, {"text": "Hello"})
    while next(events)["type"] != "text":
        pass
    events.close()
    until = time.monotonic() + 10
    while len(found := page.messages(id)) < 2 and time.monotonic() < until:
        time.sleep(0.01)
    assert found[1][0] == "assistant" and 0 < len(found[1][1]) < 2000


def test_one_answer_is_given_at_a_time_in_a_conversation_and_others_go_on(start):
    page = start(script=(("Hello", "x" * 2000), ("Tell", "Yes.")), seconds_per_forward=0.005)
    id, other = page.begin(), page.begin()
    events = page.events(id, {"text": "Hello"})
    while next(events)["type"] != "text":
        pass
    status, told = page.ask("POST", f"/api/conversations/{id}/answer", {"text": "Tell"})
    assert status == 429 and "already" in told["message"]
    assert said(page.answer(other, "Tell")) == "Yes."
    events.close()


def test_a_question_that_got_no_answer_is_kept_and_can_be_asked_again(start):
    page = start(script=(("Hello", "Good day."),), fail_at=1)
    id = page.begin()
    with page.send("POST", f"/api/conversations/{id}/answer", {"text": "Hello"}) as found:
        assert "told to" in found.read().decode()
    assert page.messages(id) == [("user", "Hello")]
    assert said(page.answer(id, retry=True)) == "Good day."
    assert page.messages(id) == [("user", "Hello"), ("assistant", "Good day.")]


def test_a_worker_that_dies_is_told_and_what_it_said_is_kept(start):
    page = start(script=(("Hello", "x" * 100),), die_at=20, seconds_per_forward=0.02)
    id = page.begin()
    events = page.answer(id, "Hello")
    assert events[-1]["type"] == "error" and "SIGKILL" in events[-1]["message"]
    assert page.messages(id)[1] == ("assistant", said(events)) and said(events)


def test_a_full_context_forgets_the_oldest_messages_and_says_so(start):
    page = start(context=256, sequences=1, answer_length=20)
    id = page.begin()
    told = [event for number in range(6) for event in page.answer(id, f"{number} {'word ' * 8}")]
    notices = [event["text"] for event in told if event["type"] == "notice"]
    assert any("no longer sees" in notice for notice in notices)
    assert not [event for event in told if event["type"] == "error"] and len(page.messages(id)) == 12


def test_a_message_longer_than_the_context_is_refused_and_can_be_edited(start):
    page = start(context=256, sequences=1)
    id = page.begin()
    status, told = page.ask("POST", f"/api/conversations/{id}/answer", {"text": "a" * 500})
    assert status == 400 and "shorten" in told["message"]
    assert said(page.answer(id, "Hello", replace=0)) and page.messages(id)[0] == ("user", "Hello")


def test_a_conversation_is_renamed_exported_and_deleted(shared):
    id = shared.begin(system="Be brief.")
    shared.answer(id, "Hello")
    _, changed = shared.ask("PATCH", f"/api/conversations/{id}", {"title": "Grüße, früh", "model": "fake"})
    assert (changed["title"], changed["system"], changed["model"]) == ("Grüße, früh", "Be brief.", "fake")
    with shared.send("GET", f"/api/conversations/{id}/export?format=md") as found:
        assert found.headers["content-disposition"] == 'attachment; filename="grusse-fruh.md"'
        assert (
            found.read().decode() == "# Grüße, früh\n\n> Be brief.\n\n## Question\n\nHello\n\n## Answer\n\nGood day.\n"
        )
    _, exported = shared.ask("GET", f"/api/conversations/{id}/export?format=json")
    assert exported["messages"] == [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Good day."}]
    assert shared.ask("GET", f"/api/conversations/{id}/export?format=exe")[0] == 400
    assert shared.ask("DELETE", f"/api/conversations/{id}")[0] == 204
    assert shared.ask("GET", f"/api/conversations/{id}")[0] == 404


def test_a_plan_has_a_reason_for_every_choice_and_holds_no_more_than_there_is(shared):
    shared.answer(shared.begin(), "Hello")
    status, plan = shared.ask("GET", "/api/plan/fake")
    assert status == 200 and all(choice["reason"] and choice["value"] for choice in plan["choices"])
    (tier,) = plan["tiers"]
    assert sum(part["size"] for part in tier["parts"]) == tier["size"] <= tier["free"]
    assert {part["group"] for part in tier["parts"]} <= plan["groups"].keys() and plan["groups"]["KV cache"]
    assert plan["decode"]["low"] <= plan["decode"]["likely"] <= plan["decode"]["high"]


def test_live_figures_follow_the_model_at_work(shared):
    shared.answer(shared.begin(), "Hello")
    _, before = shared.ask("GET", "/api/live/fake")
    shared.answer(shared.begin(), "Hello")
    _, now = shared.ask("GET", "/api/live/fake")
    assert now["generated"] > before["generated"] and now["time"] > before["time"]
    assert now["held"] > 0 and now["planned"] > 0 and (now["running"], now["waiting"]) == (0, 0)


def test_a_model_that_is_not_open_has_neither_and_it_is_said_what_to_do(start):
    page = start()
    for path in ("/api/plan/fake", "/api/live/fake"):
        status, told = page.ask("GET", path)
        assert status == 409 and "send it a message" in told["message"]
    assert page.ask("GET", "/api/plan/another")[0] == 404


def test_the_state_tells_of_the_models(start):
    page = start()
    _, before = page.ask("GET", "/api/state")
    assert before["default"] == "fake" and before["models"][0]["state"] == "cold" and before["version"]
    page.answer(page.begin(), "Hello")
    _, now = page.ask("GET", "/api/state")
    assert now["models"][0]["state"] == "ready" and now["models"][0]["context"] == 4096


def test_nobody_else_asks_what_the_page_asks(shared):
    stranger = Page(shared._place and f"http://{shared._place}", token="guessed")
    id = shared.begin()
    for method, path in [
        ("GET", "/api/state"),
        ("GET", "/api/plan/fake"),
        ("GET", "/api/live/fake"),
        ("GET", "/api/conversations"),
        ("POST", "/api/conversations"),
        ("GET", f"/api/conversations/{id}"),
        ("PATCH", f"/api/conversations/{id}"),
        ("DELETE", f"/api/conversations/{id}"),
        ("POST", f"/api/conversations/{id}/answer"),
        ("GET", f"/api/conversations/{id}/export"),
    ]:
        status, told = stranger.ask(method, path, {} if method in ("POST", "PATCH") else None)
        assert (status, told["type"]) == (401, "error"), (method, path)
    assert shared.messages(id) == []


def test_the_page_is_served_as_it_is_with_its_token(shared):
    with shared.send("GET", "/") as found:
        html, policy, tag = found.read().decode(), found.headers["content-security-policy"], found.headers["etag"]
        assert found.headers["cache-control"] == "no-cache"
    assert f'<meta name="accel-token" content="{TOKEN}">' in html
    assert "default-src 'self'" in policy and "unsafe" not in policy
    with shared.send("GET", "/", **{"if-none-match": tag}) as found:
        assert (found.status, found.read()) == (304, b"")
    with shared.send("GET", "/page/main.js") as found:
        assert found.status == 200 and found.headers["content-type"].startswith("text/javascript")


@pytest.mark.parametrize("path", ["/page/../run.py", "/page/%2e%2e/run.py", "/page/__init__.py", "/page/", "/page"])
def test_no_path_leads_to_a_file_that_is_not_the_pages(shared, path):
    assert shared.ask("GET", path)[0] == 404


def test_where_there_are_keys_the_page_has_no_token_and_its_requests_need_one(start):
    page = start(keys=Keys((_hash("secret"),)))
    stranger = Page(f"http://{page._place}", token="")
    status, html = stranger.ask("GET", "/")
    assert status == 200 and TOKEN not in html and stranger.ask("GET", "/page/main.js")[0] == 200
    assert stranger.ask("GET", "/api/state")[0] == 401
    assert stranger.ask("GET", "/api/state", authorization="Bearer wrong")[0] == 401
    assert stranger.ask("GET", "/api/state", authorization="Bearer secret")[0] == 200


def test_what_is_said_is_never_logged(start, caplog, capfd):
    page = start(script=(("Xylophone", "Glockenspiel"),), fail_at=10)
    id = page.begin()
    page.answer(id, "Xylophone")
    page.answer(id, retry=True)
    out, err = capfd.readouterr()
    told = caplog.text + "".join(str(vars(record)) for record in caplog.records) + out + err
    assert "Xylophone" not in told and "Glock" not in told


def a_conversation(*texts: str) -> Conversation:
    roles = ("user", "assistant")
    messages = tuple(Message(roles[number % 2], text) for number, text in enumerate(texts))
    return Conversation("id", "", "", "", "", 0, 0.0, 0.0, messages)


def test_a_turn_is_a_new_message_another_text_for_one_or_the_last_again():
    whole, open = a_conversation("a", "b", "c", "d"), a_conversation("a", "b", "c")
    assert turn_of(whole, "e") == Turn(4, Message("user", "e"))
    assert turn_of(whole, "e", replace=2) == Turn(2, Message("user", "e"))
    assert turn_of(whole, "", retry=True) == Turn(2, Message("user", "c"), 1)
    assert turn_of(open, "e") == Turn(2, Message("user", "e"))
    assert turn_of(open, "", retry=True) == Turn(2, Message("user", "c"), 0)
    for wrong in (1, 4, -2):
        with pytest.raises(UsageError):
            turn_of(whole, "e", replace=wrong)


def test_a_conversation_without_a_title_or_letters_has_a_name_as_a_file():
    assert file_name(a_conversation(), "md") == "conversation.md"
    assert as_markdown(a_conversation()).startswith("# Conversation\n")


@pytest.mark.parametrize(
    ("what", "group"),
    [
        ("GPU weights", "weights"),
        ("cells of the KV cache", "KV cache"),
        ("candidate KV", "draft"),
        ("draft KV cache", "draft"),
        ("GPU compute buffer", "buffers"),
        ("GPU compute buffer for drafts", "draft"),
        ("prompts that no text is at", "prompts"),
        ("pages beside experts", "experts"),
        ("template process", "buffers"),
    ],
)
def test_every_part_of_a_plan_is_in_a_group(what, group):
    assert group_of(Allocation("memory", what, Bytes(1), "anonymous")) == group and group in GROUPS
