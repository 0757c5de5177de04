"""What the daemon counts, as Prometheus reads it."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric

from ..messages import Statistics
from .asked import Ended
from .hosts import Hosts

_FIRST = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100)  # seconds
_PACE = (1, 3, 10, 30, 100, 300, 1000, 3000)  # tokens a second


class Metrics:
    """Counted as requests end; what a worker is and holds is looked up where somebody asks."""

    def __init__(self, hosts: Hosts) -> None:
        self._registry = CollectorRegistry()
        self._hosts = hosts
        self._statistics: dict[str, Statistics] = {}
        kinds = ["path", "status"]
        self.requests = Counter("accel_requests", "Requests answered.", kinds, registry=self._registry)
        self._first = Histogram(
            "accel_first_token_seconds", "From a request to its first token.", buckets=_FIRST, registry=self._registry
        )
        self._pace = Histogram(
            "accel_decode_tokens_per_second", "Of one answer.", buckets=_PACE, registry=self._registry
        )
        self._tokens = Counter("accel_tokens", "Tokens of prompts and answers.", ["kind"], registry=self._registry)
        self._registry.register(self)

    def answered(self, ended: Ended) -> None:
        usage, timings = ended.usage, ended.timings
        self._tokens.labels("prompt").inc(usage.prompt)
        self._tokens.labels("prompt_cached").inc(usage.reused)
        self._tokens.labels("generated").inc(usage.generated)
        self._first.observe(timings.waited + timings.prefill)
        if timings.decode > 0 and usage.generated > 1:
            self._pace.observe((usage.generated - 1) / timings.decode)

    def text(self, statistics: dict[str, Statistics]) -> bytes:
        """`statistics`: of the models that are open, now."""
        self._statistics = statistics
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """What holds now; prometheus_client asks."""
        for name, help, values in self._gauges():
            family = GaugeMetricFamily(name, help, labels=["model"])
            for model, value in values.items():
                family.add_metric([model], value)
            yield family

    def _gauges(self) -> Iterator[tuple[str, str, dict[str, float]]]:
        served = {host.name: host.served for host in self._hosts if host.served}
        known = self._statistics
        yield "accel_requests_running", "Now.", {name: len(each.turns.line.running) for name, each in served.items()}
        yield "accel_requests_waiting", "Now.", {name: len(each.turns.line.waiting) for name, each in served.items()}
        planned = {name: float(each.opened.planned) for name, each in served.items()}
        yield "accel_memory_planned_bytes", "Main memory that the plan allows.", planned
        held = {name: float(each.anonymous + each.mapped + each.pinned) for name, each in known.items()}
        yield "accel_memory_bytes", "Main memory that the worker holds.", held
        drafted = {name: each.stood / each.drafted for name, each in known.items() if each.drafted}
        yield "accel_draft_acceptance", "Share of drafted tokens that stood.", drafted
        uses = {name: sum(layer.uses for layer in each.experts) for name, each in known.items()}
        hits = {name: sum(layer.hits for layer in each.experts) for name, each in known.items()}
        yield (
            "accel_expert_hits",
            "Share of experts in memory.",
            {name: hits[name] / uses[name] for name in uses if uses[name]},
        )
        yield "accel_context_positions", "Cached.", {name: float(each.positions) for name, each in known.items()}
        yield (
            "accel_prompts_on_disk_bytes",
            "Of kept prompts.",
            {name: float(each.prompts_on_disk) for name, each in known.items()},
        )
