"""What Prometheus reads."""

import http.client
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from prometheus_client.parser import text_string_to_metric_families

from accel.runtime.messages import Statistics, Timings, Usage
from accel.runtime.serve.asked import Ended
from accel.runtime.serve.hosts import Hosts
from accel.runtime.serve.metrics import Metrics
from accel.runtime.settings import Settings
from accel.units import Bytes

from .serving import a_daemon, served


def values(text: str) -> dict[str, float]:
    """By name and labels."""
    return {
        f"{sample.name}{sorted(sample.labels.items())}": sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def counted() -> Metrics:
    return Metrics(Hosts(Settings(), {"a": "a"}, Bytes(0)))


def test_what_was_answered_is_counted():
    metrics = counted()
    metrics.answered(Ended("end", Usage(10, 4, 6, 5), Timings(0.5, 1.5, 2.0)))
    metrics.answered(Ended("end", Usage(1, 0, 1, 0), Timings(0.0, 0.0, 0.0)))
    found = values(metrics.text({}).decode())
    assert found["accel_tokens_total[('kind', 'prompt')]"] == 11
    assert found["accel_tokens_total[('kind', 'prompt_cached')]"] == 4
    assert found["accel_tokens_total[('kind', 'generated')]"] == 5
    assert found["accel_first_token_seconds_count[]"] == 2 and found["accel_first_token_seconds_sum[]"] == 2.0
    assert found["accel_decode_tokens_per_second_count[]"] == 1  # without a second token there is no pace
    assert found["accel_decode_tokens_per_second_sum[]"] == 2.0


def test_what_workers_hold_is_told_by_model_however_it_is_called():
    name = 'a "b"\\\n'
    known = Statistics(1, 0, 0, 0, 0, 0, positions=7, context=9, anonymous=3, mapped=4, pinned=5, drafted=4, stood=3)
    found = values(counted().text({name: known}).decode())
    assert found[f"accel_memory_bytes{[('model', name)]}"] == 12
    assert found[f"accel_draft_acceptance{[('model', name)]}"] == 0.75
    assert found[f"accel_context_positions{[('model', name)]}"] == 7


@pytest.fixture(scope="module")
def address() -> Iterator[tuple[str, int]]:
    with served(a_daemon()) as url:
        yield urlsplit(url).hostname or "", urlsplit(url).port or 0


def get(address: tuple[str, int], path: str) -> str:
    connection = http.client.HTTPConnection(*address, timeout=10)
    try:
        connection.request("GET", path)
        return connection.getresponse().read().decode()
    finally:
        connection.close()


def test_requests_are_counted_by_declared_path_and_what_clients_make_up_is_one(address):
    for path in ("/health", "/v1/models/fake", "/v1/models/none", "/made/up", "/made/up/2"):
        get(address, path)
    found = values(get(address, "/metrics"))
    assert found["accel_requests_total[('path', '/health'), ('status', '200')]"] == 1
    assert found["accel_requests_total[('path', '/v1/models/{name:path}'), ('status', '404')]"] == 1
    assert found["accel_requests_total[('path', 'none'), ('status', '404')]"] == 2
