"""The daemon describes itself, and whatever is sent to what it describes is answered or refused, never failed at."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, settings
from starlette.routing import Route

from accel.runtime.engines.options import FakeOptions
from accel.runtime.serve import caches
from accel.runtime.serve.anthropic import api as anthropic_api
from accel.runtime.serve.openai import api as openai_api
from accel.runtime.serve.openapi import described

from .serving import Model, a_daemon, served

SMALL = Model("fake", FakeOptions(sequences=4, context=256, answer_length=4))
API = schemathesis.openapi.from_dict(described())
SETTINGS: dict[str, Any] = {"deadline": None, "suppress_health_check": list(HealthCheck)}
REFUSED = {
    "/v1/responses": ("previous_response_id", "conversation", "prompt", "background"),
    "/v1/completions": ("suffix", "best_of"),
    "/v1/chat/completions": ("audio", "modalities", "chat_template_kwargs"),
    "/v1/embeddings": ("dimensions",),
}
ROUTES: list[Route] = [*openai_api.ROUTES, *anthropic_api.ROUTES, *caches.ROUTES]


@pytest.fixture(scope="module")
def url(tmp_path_factory) -> Iterator[str]:
    """What it is told to clear is nobody's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ACCEL_HOME", str(tmp_path_factory.mktemp("home")))
        with served(a_daemon(models={"fake": SMALL}, max_tokens=16)) as url:
            yield url


def test_it_describes_every_endpoint_of_the_apis_it_speaks():
    declared = {
        (re.sub(r":path}", "}", route.path), method.lower())
        for route in ROUTES
        for method in (route.methods or set()) - {"HEAD"}
    }
    told = {(path, method) for path, methods in described()["paths"].items() for method in methods}
    assert declared <= told and {path for path, _ in told - declared} == {"/health", "/metrics"}


def test_it_tells_what_requests_may_hold():
    schemas = described()["components"]["schemas"]
    assert schemas["ChatRequest"]["properties"]["top_logprobs"]["anyOf"][0]["maximum"] == 20
    assert schemas["MessagesRequest"]["required"] == ["messages", "max_tokens"]
    named = set(re.findall(r"#/components/schemas/(\w+)", str(described())))
    assert named == set(schemas)


def test_it_is_served(url):
    assert requests.get(f"{url}/openapi.json", timeout=10).json() == described()


def check(case: Any, url: str) -> None:
    """What is refused whatever else is said is left out of most requests: they would not come far."""
    if isinstance(case.body, dict) and len(str(case.body)) % 4:
        for name in REFUSED.get(case.path, ()):
            case.body.pop(name, None)
        if isinstance(case.body.get("model"), str):
            case.body["model"] = "fake"
    response = case.call(base_url=url, timeout=30)
    assert response.status_code < 500, response.text


@API.parametrize()
@settings(max_examples=2, **SETTINGS)
def test_nothing_that_it_describes_makes_it_fail(case, url):
    check(case, url)


@pytest.mark.heavy
@API.parametrize()
@settings(max_examples=100, **SETTINGS)
def test_nothing_at_all_makes_it_fail(case, url):
    check(case, url)
