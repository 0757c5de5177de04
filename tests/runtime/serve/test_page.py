"""The page in a real browser: by mouse, by keyboard alone, on a phone, with a hostile answer."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from accel.runtime.serve.keys import Keys, _hash

from .browsing import BOX, CHROMIUM, CONTRAST, SCRIPT, ask, ended, expect, playwright
from .paging import a_page_daemon
from .serving import served


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with served(a_page_daemon(script=SCRIPT, context=32768, seconds_per_forward=0.0005)) as found:
        yield found


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def open_page(browser) -> Iterator[Callable[..., Any]]:
    """Opens pages that complain of nothing and load nothing from elsewhere."""
    contexts: list[Any] = []
    complaints: list[str] = []

    def open_at(url: str, **options: Any) -> Any:
        contexts.append(browser.new_context(**options))
        page = contexts[-1].new_page()
        page.set_default_timeout(10_000)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
        page.on("request", lambda asked: None if asked.url.startswith((url, "blob:")) else complaints.append(asked.url))
        page.goto(url)
        return page

    yield open_at
    for context in contexts:
        context.close()
    assert not [words for words in complaints if "401" not in words]  # which a key that is asked for begins with


@pytest.fixture
def page(open_page, url) -> Any:
    return open_page(url)


def test_a_message_is_answered_as_it_streams_and_a_reload_keeps_it(page):
    box = page.get_by_role("textbox", name=BOX, exact=True)
    expect(box).to_be_focused()
    box.fill("Hello")
    box.press("Enter")
    words = page.locator(".answer .words")
    expect(words).to_contain_text("Good day.")
    assert words.get_attribute("aria-live") == "polite"
    answer = ended(page)
    expect(answer).to_contain_text("tokens/s")
    expect(page.get_by_role("heading", name="Hello")).to_be_visible()
    page.reload()
    expect(page.locator(".question .words")).to_have_text("Hello")
    expect(page.locator(".answer .words")).to_contain_text("Good day. Good day.")


def test_an_answer_is_stopped_and_what_there_is_of_it_stays(page):
    page.get_by_role("textbox", name=BOX, exact=True).fill("Long")
    page.keyboard.press("Enter")
    expect(page.locator(".answer .words")).to_contain_text("word word")
    page.get_by_role("button", name="Stop the answer").click()
    answer = ended(page)
    expect(answer).to_contain_text("Stopped.")
    assert len(answer.locator(".words").inner_text()) < 19000
    expect(page.get_by_role("button", name="Send")).to_be_visible()
    page.reload()
    expect(page.locator(".answer")).to_contain_text("Stopped.")


def test_an_answer_is_given_again_and_a_message_edited(page):
    ask(page, "Hello")
    ask(page, "Tell")
    page.get_by_role("button", name="Answer again").click()
    expect(ended(page)).to_contain_text("Once upon a time.")
    expect(page.locator(".question")).to_have_count(2)
    page.locator(".question").first.hover()
    page.get_by_role("button", name="Edit message 1").click()
    field = page.get_by_role("textbox", name="Another text for message 1")
    field.fill("Tell")
    page.locator(".editing").get_by_role("button", name="Send").click()
    expect(page.locator(".question")).to_have_count(1)
    expect(ended(page)).to_contain_text("Once upon a time.")
    page.reload()
    expect(page.locator(".question .words")).to_have_text(["Tell"])


def test_an_answer_goes_on_while_another_conversation_is_read(page):
    ask(page, "Hello")
    page.get_by_role("button", name="New chat").click()
    page.get_by_role("textbox", name=BOX, exact=True).fill("For ever: Long")
    page.keyboard.press("Enter")
    expect(page.locator(".answer .words")).to_contain_text("word")
    page.get_by_role("link", name="Hello").first.click()
    expect(page.locator(".answer .words")).to_contain_text("Good day.")
    page.get_by_role("link", name="For ever: Long").click()
    expect(page.get_by_role("button", name="Stop the answer")).to_be_visible()
    page.keyboard.press("Escape")
    expect(ended(page)).to_contain_text("Stopped.")


def test_a_search_finds_what_was_said(page):
    ask(page, "Tell")
    page.get_by_role("searchbox", name="Search conversations").fill("UPON a")
    links = page.get_by_role("navigation", name="Conversations").get_by_role("link")
    expect(links.first).to_contain_text("Once upon a time.")
    page.get_by_role("searchbox").fill("nowhere to be found")
    expect(page.get_by_text("Nothing was found.")).to_be_visible()


def test_a_conversation_is_renamed_exported_and_deleted(page):
    ask(page, "Tell")
    page.get_by_role("button", name="Details of this conversation").click()
    with page.expect_download() as found:
        page.get_by_role("button", name="Export as Markdown").click()
    assert "## Answer\n\nOnce upon a time." in Path(found.value.path()).read_text()
    with page.expect_download() as found:
        page.get_by_role("button", name="Export as JSON").click()
    assert json.loads(Path(found.value.path()).read_text())["messages"][1]["content"] == "Once upon a time."
    page.get_by_role("textbox", name="Title").fill("A tale")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("heading", name="A tale")).to_be_visible()
    page.get_by_role("button", name="Details of this conversation").click()
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("button", name="Delete for good?").click()
    expect(page.get_by_role("heading", name="New chat")).to_be_visible()
    expect(page.get_by_role("link", name="A tale")).to_have_count(0)


def test_what_a_hostile_answer_holds_is_text(page):
    answer = ask(page, "Hostile").locator(".words")
    expect(answer).to_contain_text('<script>document.title = "owned"</script><img')
    expect(answer).to_contain_text("[a](javascript:document.title='owned')")
    assert answer.locator("script, img").count() == 0 and "owned" not in page.title()
    link = answer.get_by_role("link")
    assert link.evaluate_all("links => links.map(a => [a.href, a.rel])") == [
        ["https://example.org/x", "noopener noreferrer"]
    ]
    expect(answer.locator("strong")).to_have_text("bold")
    expect(answer.locator("pre")).to_have_text('print("<b>hi</b>")')
    expect(answer.locator("td").last).to_have_text("2")


def test_code_is_copied(open_page, url):
    page = open_page(url, permissions=["clipboard-read", "clipboard-write"])
    ask(page, "Hostile")
    page.get_by_role("button", name="Copy the code").click()
    assert page.evaluate("navigator.clipboard.readText()") == 'print("<b>hi</b>")'


def test_a_plan_tells_why_and_live_figures_move(page):
    ask(page, "Hello")
    page.get_by_role("link", name="Plan").click()
    bar = page.get_by_role("group", name="What memory holds")
    bar.get_by_role("button", name=re.compile("^KV cache")).focus()
    expect(page.locator(".told")).to_contain_text("context: as asked")
    bar.get_by_role("button", name=re.compile("^weights")).hover()
    expect(page.locator(".told")).to_contain_text("repack: ")
    page.get_by_role("link", name="Live").click()
    expect(page.get_by_text("since it was opened")).to_be_visible()
    page.reload()
    expect(page.get_by_text("since it was opened")).to_be_visible()
    page.get_by_role("button", name="New chat").click()
    expect(page.get_by_text("4,096 tokens of context")).to_be_hidden()
    expect(page.get_by_text("32,768 tokens of context")).to_be_visible()


def test_the_live_view_asks_only_while_it_is_seen(page):
    ask(page, "Hello")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "/api/live/" in request.url else None)
    page.get_by_role("link", name="Live").click()
    expect(page.get_by_text("since it was opened")).to_be_visible()
    page.evaluate("Object.defineProperty(document, 'hidden', {value: true, configurable: true})")
    page.wait_for_timeout(1200)
    before = len(asked)
    page.wait_for_timeout(1300)
    assert len(asked) == before
    page.evaluate("delete document.hidden; document.dispatchEvent(new Event('visibilitychange'))")
    page.wait_for_timeout(100)
    assert len(asked) > before


def test_the_cache_is_cleared_by_keyboard_once_that_is_confirmed(page, home):
    ask(page, "Hello")
    page.get_by_role("link", name="Live").click()
    button = page.get_by_role("button", name="Clear Cache", exact=True)
    expect(page.get_by_text("0 prompts beside the context: 0 B in memory, 0 B on disk, 0 hits")).to_be_visible()
    nothing = page.get_by_text("0 of 32,768 tokens cached", exact=True)
    button.focus()
    page.keyboard.press("Enter")
    sure = page.get_by_role("button", name="Clear for good? Cache", exact=True)
    with page.expect_response("**/api/live/*"):
        pass
    page.wait_for_timeout(50)  # so that what came is drawn
    expect(sure).to_be_focused()  # though all around it was drawn anew
    page.keyboard.press("Escape")
    expect(button).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")  # who leaves it has not confirmed
    expect(button).to_be_visible()
    expect(nothing).to_be_hidden()
    button.focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    expect(nothing).to_be_visible()
    expect(button).to_be_focused()
    expect(page.locator("#said")).to_have_text("What fake had cached is cleared.")


def test_a_key_is_asked_for_where_keys_are_set(open_page):
    with served(a_page_daemon(script=SCRIPT, keys=Keys((_hash("secret"),)))) as url:
        page = open_page(url)
        field = page.get_by_label("Key", exact=True)
        field.fill("wrong")
        field.press("Enter")
        expect(page.get_by_text("accel does not take this key.")).to_be_visible()
        field.fill("secret")
        field.press("Enter")
        expect(page.get_by_role("dialog")).to_be_hidden()
        expect(ask(page, "Tell")).to_contain_text("Once upon a time.")
        page.reload()
        expect(page.locator(".answer")).to_contain_text("Once upon a time.")


def test_the_keyboard_alone_suffices(page):
    expect(page.get_by_role("textbox", name=BOX, exact=True)).to_be_focused()
    page.keyboard.type("Tell")
    page.keyboard.press("Enter")
    ended(page)
    page.keyboard.press("Alt+n")
    expect(page.get_by_role("heading", name="New chat")).to_be_visible()
    page.keyboard.type("Long")
    page.keyboard.press("Enter")
    expect(page.locator(".answer .words")).to_contain_text("word")
    page.keyboard.press("Escape")
    expect(ended(page)).to_contain_text("Stopped.")
    page.keyboard.press("Control+k")
    expect(page.get_by_role("searchbox")).to_be_focused()
    page.keyboard.type("once upon")
    expect(page.locator("#list a").first).to_contain_text("Tell")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.locator(".question")).to_have_text(re.compile("Tell"))
    page.keyboard.press("Alt+p")
    expect(page.get_by_role("heading", name="Plan", exact=True)).to_be_visible()
    page.keyboard.press("Alt+i")
    expect(page.get_by_role("textbox", name=BOX, exact=True)).to_be_focused()
    page.keyboard.press("ArrowUp")
    expect(page.get_by_role("textbox", name="Another text for message 1")).to_be_focused()
    page.keyboard.press("Escape")
    page.keyboard.press("Control+/")
    expect(page.get_by_role("dialog")).to_contain_text("Search conversations")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()


def test_what_has_the_focus_is_seen(page):
    ask(page, "Hello")
    seen = set()
    for _ in range(25):
        page.keyboard.press("Tab")
        found = page.evaluate(
            """() => {
                const at = document.activeElement, style = getComputedStyle(at);
                const around = getComputedStyle(at.closest(".composer") ?? at);
                if (at === document.body) return ["", true]; // the browser's own bars come next
                const seen = style.outlineStyle !== "none" || around.boxShadow !== "none";
                return [at.id || at.ariaLabel || at.textContent, seen];
            }"""
        )
        seen.add(found[0])
        assert found[1], found
    assert len(seen) > 10


def views(page: Any) -> Iterator[str]:
    """Shows a hostile answer, the plan and live figures, one after another."""
    ask(page, "Hostile")
    yield "chat"
    for view in ("plan", "live"):
        page.evaluate(f"location.hash = '#/{view}'")
        expect(page.locator(f"#{view} > *").first).to_be_visible()
        yield view


def test_a_phone_scrolls_nothing_sideways(open_page, url):
    page = open_page(url, viewport={"width": 360, "height": 640}, has_touch=True, is_mobile=True)
    ask(page, "Wide")
    for view in views(page):
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, view
        fits = "[...document.querySelectorAll('.scroll, .view')].every(each => each.scrollWidth <= each.clientWidth)"
        assert page.evaluate(fits), view
        page.get_by_role("button", name="Show conversations").click()
        expect(page.get_by_role("button", name="New chat")).to_be_in_viewport()
        page.keyboard.press("Escape")
        expect(page.get_by_role("button", name="New chat")).not_to_be_in_viewport()


NAMED = {"button", "link", "textbox", "searchbox", "combobox", "dialog", "article", "region", "navigation", "img"}


def test_everything_has_a_name_for_who_does_not_see_it(page):
    for view in views(page):
        tree = page.context.new_cdp_session(page).send("Accessibility.getFullAXTree")["nodes"]
        nodes = [node for node in tree if not node["ignored"] and node["role"]["value"] in NAMED]
        nameless = [node["role"] for node in nodes if not node.get("name", {}).get("value", "").strip()]
        assert len(nodes) > 8 and not nameless, view
        roles = {node["role"]["value"] for node in tree}
        assert {"main", "navigation", "complementary", "heading", "search"} <= roles


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read_in_both_themes(open_page, url, scheme):
    page = open_page(url, color_scheme=scheme)
    for view in views(page):
        assert page.evaluate(CONTRAST) == [], view


def test_the_theme_is_the_systems_until_another_is_chosen(open_page, url):
    page = open_page(url, color_scheme="dark")
    paper = "getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(paper)
    page.get_by_role("button", name="Theme: system").click()
    light = page.evaluate(paper)
    assert light != dark
    page.reload()
    assert page.evaluate(paper) == light
    page.get_by_role("button", name="Theme: light").click()
    assert page.evaluate(paper) == dark


@pytest.fixture(scope="module")
def still(browser, url) -> Iterator[Any]:
    """A page that tests share, who do nothing but call what it is made of."""
    page = browser.new_page()
    page.goto(url)
    yield page
    page.close()


RENDER = """async text => {
    const { render } = await import("/page/markdown.js");
    const place = document.createElement("div");
    place.append(render(text));
    return place.innerHTML;
}"""


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("a\nb\n\nc", '<p dir="auto">a<br>b</p><p dir="auto">c</p>'),
        ("# One\n### Two #hash", "<h3>One</h3><h5>Two #hash</h5>"),
        ("**a *b* c** _d_ e_f 2 * 3 * 4", '<p dir="auto"><strong>a <em>b</em> c</strong> <em>d</em> e_f 2 * 3 * 4</p>'),
        ("***a***", '<p dir="auto"><strong><em>a</em></strong></p>'),
        ("`a*b*` ``c ` d`` \\*e\\*", '<p dir="auto"><code>a*b*</code> <code>c ` d</code> *e*</p>'),
        ("- a\n- b\n  - c\n", "<ul><li>a</li><li>b<ul><li>c</li></ul></li></ul>"),
        ("3. a\n\n4. b", '<ol start="3"><li><p dir="auto">a</p></li><li><p dir="auto">b</p></li></ol>'),
        ("> a\n> b\n\n---", '<blockquote><p dir="auto">a<br>b</p></blockquote><hr>'),
        ("[a](data:text/html,x) [b] (c)", '<p dir="auto">[a](data:text/html,x) [b] (c)</p>'),
        ("a\u202eb <b>&amp;</b>", '<p dir="auto">ab &lt;b&gt;&amp;amp;&lt;/b&gt;</p>'),
    ],
)  # fmt: skip
def test_markdown_becomes_these_elements(still, text, html):
    assert still.evaluate(RENDER, text) == html


@pytest.mark.parametrize(
    "part",
    [
        *("*a ", "**", "_a", "`", "[a](", "[", "](", "> ", "- ", "  - a\n", "```\n", "|a|\n|-|\n", "# ", "https://a."),
        *("\\", "\n", "\t", "a*b**c_d__e`f``g[h](i", "1. a\n\n\n"),
    ],
)
def test_no_answer_is_too_much_for_markdown(still, part):
    text = part * (100_000 // len(part))
    assert still.evaluate(f"async text => (await ({RENDER})(text)).length", text) >= 0


def test_markdown_that_arrives_by_letters_ends_as_it_is_all_at_once(still):
    text = "# One\n\npara **bold**\n\n```c\nint a;\n\nint b;\n```\n\n- a\n\n- b\n\nend"
    grown = still.evaluate(
        """async text => {
            const { Growing, render } = await import("/page/markdown.js");
            const place = document.createElement("div"), growing = new Growing(place);
            for (let end = 1; end <= text.length; end++) growing.show(text.slice(0, end));
            const before = place.textContent;
            growing.finish(text);
            const whole = document.createElement("div");
            whole.append(render(text));
            return [before === whole.textContent, place.innerHTML === whole.innerHTML];
        }""",
        text,
    )
    assert grown == [True, True]
