"""What a person does at the page, and what tells whether it can be read."""

import shutil
from typing import Any

import pytest

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium")
if not CHROMIUM:
    pytest.skip("there is no chromium", allow_module_level=True)
expect = playwright.expect

HOSTILE = """<script>document.title = "owned"</script><img src=x onerror="document.title = 'owned'">
[a](javascript:document.title='owned') [b](https://example.org/x) **bold** `a_b`

```python
print("<b>hi</b>")
```

| a | b |
|---|--:|
| 1 | 2 |
"""
WIDE = f"```\n{'wide ' * 100}\n```\n\n{'a' * 300}\n\n| {'cell |' * 30}\n|{'---|' * 30}\n"
SCRIPT = (
    ("Hello", "Good day. " * 5),
    ("Tell", "Once upon a time."),
    ("Long", "word " * 4000),
    ("Hostile", HOSTILE),
    ("Wide", WIDE),
)
BOX = "Message"

# Texts whose contrast with what is behind them is too low: [text, ratio].
CONTRAST = """() => {
    const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
    const rgba = colour => {
        canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
        return canvas.getImageData(0, 0, 1, 1).data;
    };
    const light = ([r, g, b]) => [r, g, b].map(v => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
        .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
    const behind = element => {
        for (let at = element; at; at = at.parentElement) {
            const found = rgba(getComputedStyle(at).backgroundColor);
            if (found[3] === 255) return found;
        }
        return rgba("white");
    };
    const poor = [];
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
        const element = walker.currentNode.parentElement;
        if (!walker.currentNode.data.trim() || !element.checkVisibility({opacityProperty: true})) continue;
        const [a, b] = [light(rgba(getComputedStyle(element).color)), light(behind(element))];
        const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        if (ratio < 4.5) poor.push([walker.currentNode.data.slice(0, 40), ratio]);
    }
    return poor;
}"""


def ask(page: Any, text: str) -> Any:
    """Asks, and gives the last answer once it has ended."""
    answers = page.locator(".answer")
    before = answers.count()
    page.get_by_role("textbox", name=BOX, exact=True).fill(text)
    page.get_by_role("button", name="Send").click()
    expect(answers).to_have_count(before + 1)
    return ended(page)


def ended(page: Any) -> Any:
    answer = page.locator(".answer").last
    expect(answer.locator(".words")).to_have_attribute("aria-busy", "false")
    return answer
