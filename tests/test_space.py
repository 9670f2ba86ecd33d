"""Events of a space: what held readings complete, what an outage ends, when it is calm again."""

from datetime import datetime

import numpy as np
import pytest

from saafe.detector.alarms import LATE_S, AlarmSettings
from saafe.detector.space import Space, dated, risk_event, said_events
from saafe.sensors import CHANNEL_NAMES, CHANNELS

SETTINGS = AlarmSettings(
    warm_s=0.0, fast=2.0, slow=0.0, warn=-1.0, leave=-2.0, fast_s=20.0, slow_s=60.0, clear_s=120.0
)
HIGH, MIDDLE, RAISED, LOW = 95.0, 60.0, 35.0, 1.0  # risk in percent


def row(**values: float) -> np.ndarray:
    """Readings by their channels' names, NaN where missing. (channel,)"""
    assert set(values) <= set(CHANNEL_NAMES)
    return np.array([values.get(channel.name, np.nan) for channel in CHANNELS], np.float32)


def take(
    space: Space, time_s: float, risk: float, name: str = "A", *, agree: bool = False, **values
) -> list[tuple]:
    """What a row and the decision on it say, and what came true before: (event, time, cause)."""
    readings = row(**values)
    events = space.advance(time_s)
    events += space.read(time_s, name, readings.astype(np.float64), None)
    events += space.decide(time_s, name, risk, readings, agree=agree)
    return brief(events)


def brief(events: list[dict]) -> list[tuple]:
    return [(e["event"], e["time_s"], e.get("cause", e.get("reason"))) for e in events]


def test_events_are_rounded_to_a_tenth() -> None:
    assert risk_event("alarm", 12.3456, "A", 95.678, "model") == {
        "event": "alarm", "time_s": 12.3, "sensor": "A", "risk": 95.7, "cause": "model",
    }  # fmt: skip
    assert said_events([("fault", "co", "stuck")], 12.3456, "A") == [
        {"event": "fault", "time_s": 12.3, "sensor": "A", "channel": "co", "reason": "stuck"}
    ]


def minutes(space: Space, count: int, risk: float = LOW, **values) -> None:
    """So many calm rows, a minute apart."""
    for k in range(count):
        assert take(space, 60.0 * k, risk, **values) == []


def test_a_held_rise_alarms_with_no_claim_beside_it() -> None:
    space = Space(SETTINGS)
    minutes(space, 3, temperature=20.0)
    assert take(space, 180.0, LOW, temperature=45.0) == []  # under 57 degC, and no risk
    due_s = 180.0 + 60.0 + LATE_S
    assert space.next_due() == due_s
    assert space.advance(due_s) == []
    assert brief(space.advance(due_s, inclusive=True)) == [("alarm", due_s, "rate_of_rise")]


@pytest.mark.parametrize("risk", [LOW, HIGH])
def test_a_lone_jump_is_a_fault_only_where_it_would_have_alarmed(risk: float) -> None:
    space = Space(SETTINGS)
    minutes(space, 5, co2=600.0, pm25=5.0)
    assert take(space, 300.0, risk, co2=9000.0, pm25=5.0) == []
    expected = [("fault", 360.0, "jump")] if risk == HIGH else []
    assert take(space, 360.0, LOW, co2=600.0, pm25=5.0) == expected


def test_of_two_held_claims_the_first_to_complete_is_the_cause() -> None:
    late = AlarmSettings(warm_s=0.0, fast=2.0, slow=9.0, steady=9.0, warn=9.0, fast_s=200.0)
    space = Space(late)
    minutes(space, 3, temperature=20.0)
    take(space, 180.0, HIGH, temperature=70.0)
    assert brief(space.advance(1000.0))[0] == ("alarm", 180.0 + 60.0 + LATE_S, "heat")


def test_a_claim_stands_from_when_its_decision_was_taken() -> None:
    space = Space(SETTINGS)
    minutes(space, 3, pm25=5.0)
    space.advance(184.0)  # the row of 180 s comes 4 s late
    assert take(space, 180.0, HIGH, pm25=5.0) == []
    assert space.next_due() == 180.0 + 60.0 + LATE_S + 4.0


def test_a_lone_reading_that_two_channels_share_completes_without_waiting_for_the_next() -> None:
    space = Space(SETTINGS)
    for k in range(30):
        assert take(space, 10.0 * k, LOW, temperature=20.0) == []
    assert take(space, 300.0, HIGH, temperature=20.0, agree=True) == []
    assert space.next_due() == 320.0


@pytest.mark.parametrize(("second_s", "due_s"), [(9.0, 9.0 + 60.0 + LATE_S), (10.0, 30.0)])
def test_in_its_first_bin_a_sensor_is_not_believed_at_once(second_s: float, due_s: float) -> None:
    """There is nothing yet to see a lone wrong reading by, though two channels agree."""
    space = Space(SETTINGS)
    assert take(space, 0.0, LOW, temperature=20.0) == []
    space.sensor("A").test.median.add(60.0)
    space.advance(second_s)
    space.decide(second_s, "A", HIGH, row(temperature=20.0), agree=True)
    assert space.next_due() == due_s


def test_the_models_claims_do_not_bridge_an_outage() -> None:
    space = Space(SETTINGS)
    minutes(space, 5, pm25=5.0)
    assert take(space, 300.0, MIDDLE, pm25=5.0) == []
    said = take(space, 7200.0, MIDDLE, pm25=5.0)
    assert [event for event, *_ in said] == ["fault", "restored"]
    assert take(space, 7260.0, MIDDLE, pm25=5.0) == [("alarm", 7260.0, "model")]


def alarmed_space(gone_s: float) -> tuple[Space, float]:
    """A space that alarmed with particles and temperature, whose last rows lack particles."""
    space, said = Space(SETTINGS), []
    for k in range(20):
        said += take(space, 10.0 * k, LOW if k < 10 else HIGH, temperature=20.0, pm25=50.0)
    assert said == [("alarm", 120.0, "model")]
    time_s = 190.0
    while time_s < 190.0 + gone_s - 1e-9:
        time_s += 10.0
        assert take(space, time_s, HIGH, temperature=20.0) == []
    return space, time_s


@pytest.mark.parametrize(("gone_s", "clears"), [(0.0, True), (10.0, False), (50.0, False)])
def test_what_is_left_of_a_sensor_that_alarmed_is_no_calm(gone_s: float, clears: bool) -> None:
    """It has lost a channel that it alarmed with, not in the very bin before the calm began."""
    space, time_s = alarmed_space(gone_s)
    said = [take(space, time_s + 10.0 * k, LOW, temperature=20.0) for k in range(1, 14)]
    assert any(said) == clears
    if clears:
        assert said[12] == [("clear", time_s + 130.0, "model")]


def test_only_channels_that_told_something_as_it_alarmed_are_missed() -> None:
    """CO2 had been away for long; that it still is keeps no alarm from clearing."""
    space = Space(SETTINGS)
    take(space, 0.0, LOW, pm25=5.0, co2=600.0)
    said = []
    for k in range(1, 60):
        said += take(space, 10.0 * k, LOW if k < 40 else HIGH, pm25=5.0)
    assert said == [("alarm", 420.0, "model")]
    for k in range(60, 80):
        said += take(space, 10.0 * k, LOW, pm25=5.0)
    assert said[1:] == [("clear", 720.0, "model")]


def test_a_lost_channel_that_comes_back_lets_the_alarm_clear() -> None:
    space, time_s = alarmed_space(50.0)
    said = []
    for k in range(1, 100):
        said += take(space, time_s + 10.0 * k, LOW, temperature=20.0)
    assert said == [("fault", 380.0, "missing")]  # 190 s after its last reading
    back_s = time_s + 1000.0
    for k in range(13):
        said += take(space, back_s + 10.0 * k, LOW, temperature=20.0, pm25=5.0)
    assert said[1:] == [("restored", back_s, "missing"), ("clear", back_s + 120.0, "model")]


def test_one_space_warns_once_and_alarms_once() -> None:
    space, said = Space(SETTINGS), []
    for k in range(12):
        for name in ("A", "B"):
            said += take(space, 10.0 * k, RAISED, name, pm25=5.0)
    assert said == [("warning", 60.0, "model")]
    for k in range(12, 30):
        for name in ("A", "B"):
            said += take(space, 10.0 * k, HIGH, name, pm25=5.0)
    assert said[1:] == [("alarm", 140.0, "model")]


def test_an_acknowledged_alarm_is_hushed_for_the_model_and_not_for_the_rules() -> None:
    space = Space(SETTINGS)
    for k in range(15):
        take(space, 10.0 * k, LOW if k < 10 else HIGH, pm25=5.0)
    cleared = space.acknowledge(140.0, hush_s=100.0)
    assert brief(cleared) == [("clear", 140.0, "acknowledged")]
    assert space.acknowledge(140.0, hush_s=100.0) == []  # there is no alarm any more
    said = [take(space, 150.0 + 10.0 * k, HIGH, pm25=5.0) for k in range(10)]
    assert [event for events in said for event in events] == [
        ("warning", 210.0, "model"), ("alarm", 240.0, "model"),
    ]  # fmt: skip
    space.acknowledge(240.0, hush_s=1000.0)
    hot = [take(space, 250.0 + 10.0 * k, HIGH, pm25=5.0, temperature=60.0) for k in range(3)]
    assert hot[0] == []
    assert hot[1] == [("alarm", 260.0, "heat")]


def test_an_excused_pause_is_no_silence_and_no_claim_bridges_it() -> None:
    space = Space(SETTINGS)
    minutes(space, 5, pm25=5.0)
    take(space, 300.0, MIDDLE, pm25=5.0)
    space.excuse(4000.0)
    assert space.now_s == 4000.0
    assert space.next_due() == 4000.0 + 180.0
    space.excuse(3000.0)  # time does not go back
    assert space.now_s == 4000.0
    assert take(space, 4010.0, MIDDLE, pm25=5.0) == []
    assert take(space, 4070.0, MIDDLE, pm25=5.0) == [("alarm", 4070.0, "model")]


@pytest.mark.parametrize("sensor", ["", "A"])
@pytest.mark.parametrize("channel", ["row", "sensor", "time"])
def test_what_is_wrong_with_lines_is_over_by_the_clock_and_said_again(
    sensor: str, channel: str
) -> None:
    """Unreadable lines name no sensor, so that no reading of one can end their fault."""
    space, events = Space(AlarmSettings()), []
    for at in (0.0, 100.0, 400.0):
        events += space.advance(at)
        events += space.read(at, sensor, row(), {channel: "cut"})
    assert space.next_due() == 580.0
    events += space.advance(1000.0)
    assert [(e["event"], e["time_s"], e["sensor"], e["channel"]) for e in events] == [
        ("fault", 0.0, sensor, channel), ("restored", 280.0, sensor, channel),
        ("fault", 400.0, sensor, channel), ("restored", 580.0, sensor, channel),
    ]  # fmt: skip


def test_after_the_last_row_claims_complete_and_nothing_else() -> None:
    space = Space(SETTINGS)
    for name in ("B", "A"):
        for k in range(3):
            take(space, 60.0 * k, LOW, name, pm25=5.0)
    take(space, 180.0, HIGH, "B", pm25=5.0)
    take(space, 190.0, HIGH, "A", pm25=5.0)
    assert brief(space.complete()) == [("alarm", 180.0 + 60.0 + LATE_S, "model")]  # of B, the first
    assert space.incident == "B"


def test_events_of_what_has_dates_have_them_too() -> None:
    event = {"event": "alarm", "time_s": 90.5, "sensor": "A"}
    assert dated([event], None) == [event]
    for start, said in (
        ("2026-10-25T02:59:00+02:00", "2026-10-25T03:00:30+02:00"),
        ("2026-01-31T23:59:00", "2026-02-01T00:00:30"),
    ):
        (found,) = dated([event], datetime.fromisoformat(start))
        assert list(found) == ["event", "time_s", "time", "sensor"]
        assert found == event | {"time": said}
