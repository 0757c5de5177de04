"""Markdown that is still arriving: what is finished and can be printed for good, and what may still change."""

import re

_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})(.*)")


def split_blocks(text: str) -> tuple[str, str]:
    """(finished, open): `finished` ends after the last blank line that stands outside a fenced block, and renders the
    same whatever follows; their concatenation is `text`."""
    end, at, fence = 0, 0, ""
    for line in text.split("\n")[:-1]:
        at += len(line) + 1
        fence = _after(line, fence)
        if not fence and not line.strip():
            end = at
    return text[:end], text[end:]


def _after(line: str, fence: str) -> str:
    """The fence that is open after this line, if one is open before it or not."""
    found = _FENCE.match(line)
    if not fence:
        opens = found and not (found[1][0] == "`" and "`" in found[2])
        return found[1] if found and opens else ""
    closes = found and found[1].startswith(fence) and not found[2].strip()
    return "" if closes else fence


def printable(text: str) -> str:
    """Without what a terminal would obey: control characters other than line ends and tabs."""
    return text if text.isprintable() else "".join(filter(_harmless, text))


def _harmless(letter: str) -> bool:
    return letter in "\n\t" or not (letter < " " or "\x7f" <= letter <= "\x9f" or letter in _DIRECTIONS)


_DIRECTIONS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")  # they can show code in another order
