"""The process in which chat templates are rendered: a template is a program of whoever made the model file.

Run by template.py as a script of its own, importing nothing of accel. A job is a line of JSON on stdin, its answer a
line on stdout. The process gives up what a template must not have before it reads the first job: it can open no file
and no socket any more, has no environment and little memory, and for every job half a second of processor time, at
whose end the kernel kills it, whatever it does. Jinja's sandbox stands inside of that. It ends with its stdin.

The variables, filters and tags are those that templates are written for: what `apply_chat_template` of Hugging Face's
transformers gives them.
"""

import json
import signal
import sys
from collections.abc import Callable
from datetime import datetime
from functools import lru_cache
from importlib import import_module
from typing import Any

from jinja2 import Template, TemplateError, TemplateSyntaxError, nodes
from jinja2.exceptions import SecurityError
from jinja2.ext import Extension
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

SECONDS = 0.5  # of processor time for one job
MEMORY = 2**29  # bytes of address space
LONGEST = 2**25  # characters of a rendered text
LATE = (  # what jinja2 and markupsafe import only where a template comes to need it
    *("html", "pprint", "textwrap", "unicodedata"),  # striptags; pprint; wordwrap; "\N{DASH}"
    *("jinja2.constants", "jinja2.debug"),  # lipsum; errors
)


class Generation(Extension):
    """`{% generation %}` marks what the model wrote, which matters in training; here its content is all of it."""

    tags = {"generation"}  # noqa: RUF012 - jinja2's own declaration

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


class Refused(TemplateError):
    """The template itself finds that the messages do not fit."""


def raise_exception(message: str) -> None:
    raise Refused(message)


def strftime_now(format: str) -> str:
    return datetime.now().strftime(format)


def to_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """Not jinja2's own, which escapes for HTML."""
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def environment() -> ImmutableSandboxedEnvironment:
    found = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols", Generation]
    )
    found.filters["tojson"] = to_json
    found.globals |= {"raise_exception": raise_exception, "strftime_now": strftime_now}
    return found


@lru_cache(maxsize=4)
def compiled(source: str) -> Template:
    return environment().from_string(source)


def render(source: str, variables: dict[str, Any]) -> str:
    """Raises whatever the template makes happen; MemoryError for a text that is too long."""
    parts: list[str] = []
    length = 0
    for part in compiled(source).generate(variables):
        length += len(part)
        if length > LONGEST:
            raise MemoryError
        parts.append(part)
    return "".join(parts)


def answer(job: dict[str, Any]) -> dict[str, str]:
    """{"text": ...}, {"refused": the template's own words}, or {"error": words that end a sentence about it}."""
    try:
        return {"text": render(job["source"], job["variables"])}
    except TemplateSyntaxError as error:
        return {"error": f"has a mistake on line {error.lineno}: {error.message}"}
    except SecurityError as error:
        return {"error": f"does what no template may: {error}"}
    except Refused as error:
        return {"refused": str(error)}
    except RecursionError:
        return {"error": "calls itself without end"}
    except MemoryError:
        return {"error": "makes more text than memory is given for it"}
    except Exception as error:  # noqa: BLE001 - it is a program, and may raise anything
        return {"error": f"fails: {type(error).__name__}: {error}"}


def give_up_everything() -> bool:
    """From here on nothing can be opened; whether processor time can be limited too."""
    for module in LATE:
        import_module(module)
    answer({"source": "{{ strftime_now('%c') }}{{ 1 / 0 }}", "variables": {}})  # loads what these load in their turn
    try:
        import resource
    except ImportError:
        return False
    limits = {"RLIMIT_AS": MEMORY, "RLIMIT_NOFILE": 3, "RLIMIT_NPROC": 0, "RLIMIT_FSIZE": 0, "RLIMIT_CORE": 0}
    for what, most in limits.items():
        try:
            kind = getattr(resource, what)
            hard = resource.getrlimit(kind)[1]
            limit = most if hard == resource.RLIM_INFINITY else min(most, hard)
            resource.setrlimit(kind, (limit, limit))
        except (AttributeError, OSError, ValueError):  # a system without this limit, or that does not let it be set
            continue
    return hasattr(signal, "setitimer")


def limited(timed: bool, work: Callable[[], dict[str, str]]) -> dict[str, str]:
    """The work, killed where it takes longer; SIGPROF's default action, so that no code of Python need run for it."""
    if not timed:
        return work()
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        return work()
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def main() -> None:
    timed = give_up_everything()
    print(json.dumps({"timed": timed}), flush=True)
    for line in sys.stdin:
        job = json.loads(line)
        print(json.dumps(limited(timed, lambda job=job: answer(job))), flush=True)


if __name__ == "__main__":
    main()
