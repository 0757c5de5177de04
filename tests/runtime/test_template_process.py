"""All that jinja2 offers works in the process where nothing can be opened any more."""

import pytest

from accel.runtime import template_process
from accel.runtime.renderer import Renderer

TEXT = "a <b>&amp;&eacute;</b> http://b.c/ a@b.cd " * 3  # with what the filters for HTML look for
FILTERS = {  # those that want something else than a text
    "abs": "-1|abs",
    "attr": "'a'|attr('b')",
    "batch": "[1, 2, 3]|batch(2, 0)|list",
    "dictsort": "{'b': 1}|dictsort",
    "filesizeformat": "15000|filesizeformat",
    "groupby": "[{'a': 1}]|groupby('a')|list",
    "items": "{'a': 1}|items|list",
    "join": "[1, 2]|join(',')",
    "map": "'ab'|map('upper')|list",
    "rejectattr": "[{'a': 1}]|rejectattr('a')|list",
    "replace": "'a'|replace('a', 'b')",
    "round": "1.5|round",
    "selectattr": "[{'a': 1}]|selectattr('a')|list",
    "slice": "[1, 2, 3]|slice(2)|list",
    "sum": "[1, 2]|sum",
    "tojson": "{'a': 1}|tojson(indent=1)",
    "wordwrap": "text|wordwrap(5)",
    "xmlattr": "{'a': '<'}|xmlattr",
    **{name: f"'ab'|{name}|list" for name in ("reject", "reverse", "select", "unique")},
}
TESTS = {  # those that want something to compare with; any other takes none
    "divisibleby": "2",
    "in": "[1]",
    "sameas": "1",
    **dict.fromkeys(("!=", "<", "<=", "==", ">", ">="), "1"),
    **dict.fromkeys(("eq", "equalto", "ge", "greaterthan", "gt", "le", "lessthan", "lt", "ne"), "1"),
}
GLOBALS = {
    "cycler": "cycler(1, 2).next()",
    "dict": "dict(a=1)",
    "joiner": "joiner()()",
    "lipsum": "lipsum(1)",
    "namespace": "namespace(a=1).a",
    "raise_exception": "raise_exception",
    "range": "range(3)|list",
    "strftime_now": "strftime_now('%A %d %B %Y')",
}
KNOWN = template_process.environment()


@pytest.fixture
def renderer():
    """One for each test: what a template has loaded once, the next one finds."""
    renderer = Renderer()
    yield renderer
    renderer.close()


def test_every_filter_works(renderer):
    for name in KNOWN.filters:
        renderer.render(f"{{{{ {FILTERS.get(name, f'text|{name}')} }}}}", {"text": TEXT})


def test_every_test_works(renderer):
    for name in KNOWN.tests:
        value = "'upper'" if name in ("filter", "test") else "1"
        renderer.render(f"{{{{ [{value}]|select('{name}', {TESTS.get(name, '')})|list }}}}", {})


def test_every_global_works(renderer):
    for name in KNOWN.globals:
        renderer.render(f"{{{{ {GLOBALS[name]} }}}}", {})


def test_characters_can_be_written_by_their_names(renderer):
    assert renderer.render(r"{{ '\N{EM DASH}' }}", {}) == "—"


def test_entities_of_html_are_read(renderer):
    assert renderer.render("{{ '<b>&eacute;</b>'|striptags }}", {}) == "é"
