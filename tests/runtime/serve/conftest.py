"""Daemons that all tests of a module share."""

from collections.abc import Iterator

import pytest

from .serving import DEMO, a_daemon, served


@pytest.fixture(scope="module")
def fake_url() -> Iterator[str]:
    """Of a daemon whose one model babbles letters."""
    with served(a_daemon()) as url:
        yield url


@pytest.fixture(scope="module")
def demo_url() -> Iterator[str]:
    """Of a daemon with the demo model."""
    with served(a_daemon(models={"demo": DEMO})) as url:
        yield url
