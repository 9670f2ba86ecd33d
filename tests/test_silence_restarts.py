"""A restart changes nothing of when a silence is said, but for a while after it."""

import heapq
import math
import random
import tempfile
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from serving_fixtures import CALM
from test_service import NOW_S, Time

from saafe.detector.self_test import GRACE_PAUSES, LEAST_GRACE_S
from saafe.serving.fleet import Arrival, Fleet
from saafe.serving.notes import Notes
from saafe.serving.service import FORGET_EVERY_S, Service, Waiting
from saafe.serving.store import Store

END_S = 30_000.0


class Restart(NamedTuple):
    """An end of the process and a new beginning, in seconds after `NOW_S`."""

    at_s: float
    pause_s: float
    is_kill: bool


class Story:
    """A service that is driven by a clock of its own, without its thread."""

    def __init__(self, path: Path, longest_interval_s: float | None) -> None:
        self.path, self.longest_interval_s, self.clock = path, longest_interval_s, Time()
        self.grace_ends_s = -math.inf
        self.said: dict[tuple, list[float]] = {}
        self.begin()

    def begin(self) -> None:
        fleet = Fleet(CALM, longest_interval_s=self.longest_interval_s)
        self.service = Service(fleet, Store(self.path), Notes([].append), self.clock)
        pause_s = self.clock.now_s - self.service.store.watched_until()
        grace_s = max(LEAST_GRACE_S, GRACE_PAUSES * (pause_s if pause_s >= 0.0 else math.inf))
        self.grace_ends_s = self.clock.now_s + grace_s
        self.service.restore()
        self.service.listeners.append(self.hear)
        self.minute_s = self.clock.now_s + FORGET_EVERY_S

    def end(self, *, is_kill: bool) -> None:
        if is_kill:
            self.service.store.base.close()
            return
        self.service.is_stopping.set()  # all that the thread does as it ends
        self.service._run()
        self.service.store.close()

    def go_on(self, until_s: float) -> None:
        """Tell what becomes true without a reading, as the thread does."""
        while (due_s := min(self.service.fleet.next_due(), self.minute_s)) <= until_s:
            self.clock.now_s = max(due_s, self.clock.now_s)
            self.service._turn([])
            if self.clock.now_s >= self.minute_s:
                self.minute_s += FORGET_EVERY_S
                self.service.store.forget(self.clock.now_s)
                self.service._save_some()
        self.clock.now_s = until_s

    def hear(self, events: list[dict]) -> None:
        for event in events:
            key = (event["event"], event["sensor"], event.get("channel"), event.get("reason"))
            self.said.setdefault(key, []).append(self.clock.now_s - NOW_S)

    def take(self, one: Arrival) -> None:
        self.service._turn([Waiting(one, lambda _why: None)])


def told(
    readings: list[Arrival], longest_interval_s: float | None, end_s: float, *restarts: Restart
) -> tuple[dict[tuple, list[float]], float]:
    """When each event was said, after `NOW_S`; until when a silence waits after a restart."""
    with tempfile.TemporaryDirectory() as folder:
        story = Story(Path(folder) / "s.sqlite", longest_interval_s)
        todo = [(one.arrived_s, k, one) for k, one in enumerate(readings)]
        todo += [(NOW_S + one.at_s, -1, one) for one in restarts]
        heapq.heapify(todo)
        while todo:
            at_s, _, what = heapq.heappop(todo)
            story.go_on(at_s)
            if isinstance(what, Arrival):
                story.take(what)
                continue
            story.end(is_kill=what.is_kill)
            story.clock.now_s += what.pause_s
            story.begin()
        story.go_on(NOW_S + end_s)
        story.service.store.close()
        return story.said, story.grace_ends_s - NOW_S


def sent(sensor: str, at_s: float, *, has_particles: bool = True, late_s: float = 0.0) -> Arrival:
    cells = {"temperature_c": f"{21 + at_s % 7 / 10:.1f}"}
    cells |= {"pm25_ug_m3": f"{5 + at_s % 3:.0f}"} if has_particles else {}
    cells |= {"time_s": repr(NOW_S + at_s - late_s)} if late_s else {}
    return Arrival("den", sensor, cells, NOW_S + at_s)


@pytest.mark.parametrize("is_kill", [False, True])
@pytest.mark.parametrize("pause_s", [5.0, 60.0])
def test_a_silence_goes_on_to_count_over_a_restart(pause_s: float, is_kill: bool) -> None:
    """One of twenty minutes began anew: it was said 90 minutes after the restart."""
    readings = [sent("A", 600.0 * k) for k in range(10)]
    restart = Restart(5400.0 + 1200.0, pause_s, is_kill)
    for one in ([], [restart], [restart, restart._replace(at_s=8000.0)]):
        found, _ = told(readings, 3600.0, 20_000.0, *one)
        assert found == {("fault", "A", "all", "silent"): [pytest.approx(10_800.0, abs=0.2)]}


@pytest.mark.parametrize("pause_s", [600.0, 40_000.0, -3600.0])
def test_after_a_long_pause_or_one_of_unknown_length_a_silence_counts_anew(pause_s: float) -> None:
    """Readings of that time may be lost; a clock that was set back tells nothing of the pause."""
    readings = [sent("A", 600.0 * k) for k in range(10)]
    restart = Restart(6600.0, pause_s, is_kill=False)
    found, _ = told(readings, 3600.0, 100_000.0, restart)
    (said_s,) = found["fault", "A", "all", "silent"]
    assert said_s == pytest.approx(6600.0 + pause_s + 5400.0, abs=0.2)


def story_of(seed: int) -> tuple[list[Arrival], float | None, Restart]:
    """Sensors that stop, lose a channel, come back or upload; and a restart between readings."""
    rng = random.Random(seed)
    longest_s = rng.choice([None, None, 900.0, 3600.0])
    readings: list[Arrival] = []
    for sensor in "AB"[: rng.randint(1, 2)]:
        period_s = rng.choice([30.0, 60.0, 300.0, 900.0])
        late_s = rng.choice([0.0, 0.0, 3.0 * period_s])  # it uploads three at once
        lost_s = rng.uniform(2000.0, 20_000.0)  # its particles are
        gone_s = rng.uniform(4000.0, 12_000.0)
        back_s = gone_s + rng.choice([300.0, 3000.0, 12_000.0, 90_000.0])
        for k in range(1, int(END_S / period_s)):
            at_s = k * period_s
            if not gone_s <= at_s < back_s:
                came_s = math.ceil(at_s / late_s) * late_s if late_s else at_s
                has_particles = at_s < lost_s
                one = sent(sensor, came_s, has_particles=has_particles, late_s=came_s - at_s)
                readings.append(one)
    at_s, pause_s = rng.uniform(3000.0, 20_000.0), rng.uniform(1.0, 20.0)
    restart = Restart(at_s, pause_s, is_kill=rng.random() < 0.5)
    begun_s, done_s = NOW_S + at_s, NOW_S + at_s + pause_s
    readings = [one for one in readings if not begun_s <= one.arrived_s <= done_s]  # none is lost
    return sorted(readings, key=lambda one: one.arrived_s), longest_s, restart


@settings(max_examples=15, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.integers(0, 10**6))
def test_what_a_restarted_service_says_and_when_is_what_a_running_one_says(seed: int) -> None:
    """But for what becomes true in the pause and soon after it, which waits until then."""
    readings, longest_s, restart = story_of(seed)
    running, _ = told(readings, longest_s, END_S)
    restarted, grace_ends_s = told(readings, longest_s, END_S, restart)

    for key in {*running, *restarted}:
        waits_s = 0.1 if key[3] == "silent" else 2700.0  # another fault is said at a row
        near = [
            [s for s in found.get(key, []) if restart.at_s <= s <= grace_ends_s + waits_s]
            for found in (running, restarted)
        ]
        far = [
            [s for s in found.get(key, []) if s not in close]
            for found, close in zip((running, restarted), near, strict=True)
        ]
        assert far[1] == pytest.approx(far[0], abs=0.1), key
        back = [s for s in running.get(("restored", *key[1:]), []) if s > restart.at_s]
        if key[0] == "fault" and near[0] and not near[1]:
            assert min(back) <= grace_ends_s, "said no later, where nothing has ended it"
