"""Figures of a service for Prometheus."""

import resource
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from saafe.serving.fleet import Arrival

LATENCIES_S = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)


class Counters:
    """Counts of readings and events, and gauges of what waits."""

    def __init__(self, gauges: Mapping[str, tuple[str, Callable[[], float]]]) -> None:
        """Start at nothing; a gauge is its help and what reads it."""
        self.registry = CollectorRegistry()
        more: dict[str, Any] = {"registry": self.registry}
        self.readings = Counter("saafe_readings", "Readings judged.", **more)
        self.refusals = Counter(
            "saafe_refused", "What could not be used, by the reason.", ["reason"], **more
        )
        self.offline = Counter(
            "saafe_offline", "Messages that a sensor which has sent is away.", **more
        )
        self.events = Counter("saafe_events", "Events said, by kind.", ["event"], **more)
        self.latency = Histogram(
            "saafe_reading_seconds", "From a reading's arrival until it was judged and kept.",
            buckets=LATENCIES_S, **more,
        )  # fmt: skip
        self.work = Counter("saafe_work_seconds", "Time spent on judging and keeping.", **more)
        memory = {"saafe_memory_bytes": ("Most memory that the process held.", most_memory)}
        for name, (text, value) in {**gauges, **memory}.items():
            self.add_gauge(name, text, value)

    def add_gauge(self, name: str, text: str, value: Callable[[], float]) -> None:
        """Show one more gauge: its help, and what reads it."""
        Gauge(name, text, registry=self.registry).set_function(value)

    def refused(self, reason: str) -> None:
        """Count something that could not be used, by a reason of our own words."""
        self.refusals.labels(reason).inc()

    def heard_offline(self, *, is_known: bool) -> None:
        """Count that a sensor is said to be away; of one that has never sent it tells nothing."""
        if is_known:
            self.offline.inc()
        else:
            self.refused("availability")

    def turned(
        self, readings: Sequence[Arrival], events: Sequence[dict], *, now_s: float, work_s: float
    ) -> None:
        """Count a batch that was judged and kept."""
        self.readings.inc(sum(not one.is_acknowledgement for one in readings))
        self.work.inc(max(work_s, 0.0))
        for one in readings:
            self.latency.observe(max(now_s - one.arrived_s, 0.0))
        for event in events:
            self.events.labels(event["event"]).inc()

    def text(self) -> bytes:
        """All of it, as Prometheus reads it."""
        return generate_latest(self.registry)


def most_memory() -> float:
    """The most memory that this process has held. [bytes]"""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return float(most if sys.platform == "darwin" else 1024 * most)
