"""Events of whole recordings; a stream gives the same as a recording in bulk."""

import json
import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import saafe
from saafe.detector.alarms import CONFIRM_S, LATE_S, AlarmSettings
from saafe.detector.detector import Detector, Scorer
from saafe.detector.recorded import detect
from saafe.errors import InputError
from saafe.recordings import cut_recording, read_sets
from saafe.recordings.recording import Recording
from saafe.sensors import CHANNEL_NAMES, CHANNELS, CO, CO2, PM25, TEMPERATURE

SETTINGS = AlarmSettings(
    warm_s=0.0, fast=2.0, slow=0.0, warn=-1.0, leave=-2.0, fast_s=20.0, slow_s=60.0, clear_s=120.0
)
HIGH, MIDDLE, RAISED, LOW = 95.0, 60.0, 35.0, 1.0  # particles, which `score` takes for risk


def score(windows: np.ndarray) -> np.ndarray:
    """Risk is the newest reading of particles; nothing known, no risk."""
    return np.nan_to_num(windows[:, -1, 0, PM25].astype(np.float64)).clip(0.0, 100.0)


def recording(period_s: float = 10.0, **sensors: list[float]) -> Recording:
    """A recording of particles at a period, one list a sensor; None is missing."""
    rows = max(map(len, sensors.values()))
    readings = np.full((rows, len(sensors), len(CHANNELS)), np.nan, np.float32)
    for k, values in enumerate(sensors.values()):
        readings[: len(values), k, PM25] = np.array(values, dtype=np.float32)
    return Recording("test", period_s * np.arange(rows), tuple(sensors), readings)


def streamed(read: Recording, score=score, alarms: AlarmSettings = SETTINGS) -> list[dict]:
    """Events of the recording's rows, fed one by one."""
    detector = Detector(Scorer(score, alarms))
    events = []
    for time_s, row in zip(read.times_s, read.readings, strict=True):
        for sensor, readings in zip(read.sensors, row, strict=True):
            events += detector.update(float(time_s), sensor, readings)
    return events + detector.finish()


def events_of(read: Recording) -> list[dict]:
    """The events, which must be the same both ways, in order, and plain JSON."""
    events = detect(Scorer(score, SETTINGS), read).events
    assert events == streamed(read)
    assert [e["time_s"] for e in events] == sorted(e["time_s"] for e in events)
    assert json.loads(json.dumps(events)) == events
    return events


def brief(read: Recording) -> list[tuple]:
    return [(e["event"], e["time_s"], e["sensor"]) for e in events_of(read)]


def test_alarm_and_clear() -> None:
    read = recording(A=[LOW] * 10 + [HIGH] * 20 + [LOW] * 20)
    assert events_of(read) == [
        {"event": "alarm", "time_s": 120.0, "sensor": "A", "risk": 95.0, "cause": "model"},
        {"event": "clear", "time_s": 420.0, "sensor": "A", "risk": 1.0, "cause": "model"},
    ]


def test_slow_tier_and_warning() -> None:
    assert brief(recording(A=[LOW] * 10 + [MIDDLE] * 20)) == [("alarm", 160.0, "A")]
    assert brief(recording(A=[LOW] * 10 + [RAISED] * 20)) == [("warning", 160.0, "A")]


def test_a_lone_high_reading_does_not_alarm() -> None:
    assert brief(recording(A=[LOW] * 10 + [HIGH] + [LOW] * 10)) == []
    assert brief(recording(A=[LOW] * 10 + [HIGH, HIGH] + [LOW] * 10)) == []


def test_a_lone_reading_of_one_channel_waits_for_a_second_at_a_period_of_a_minute() -> None:
    assert brief(recording(60.0, A=[LOW] * 5 + [HIGH] + [LOW] * 5)) == []
    assert brief(recording(60.0, A=[LOW] * 5 + [HIGH] * 2 + [LOW] * 5))[0] == ("alarm", 360.0, "A")


def test_a_lone_reading_alarms_where_nothing_contradicts_it_for_a_period() -> None:
    at_s = 300.0 + 60.0 + LATE_S
    assert brief(recording(60.0, A=[LOW] * 5 + [HIGH])) == [("alarm", at_s, "A")]


def test_a_lone_reading_alarms_at_once_where_two_channels_agree() -> None:
    read = recording(60.0, A=[0.0] * 8)
    read.readings[:, 0, TEMPERATURE] = [20.0] * 4 + [70.0, 20.0, 20.0, 20.0]
    read.readings[:, 0, CO] = [0.0] * 4 + [40.0, 0.0, 0.0, 0.0]
    assert brief(read) == [("alarm", 240.0, "A"), ("clear", 420.0, "A")]


def test_the_first_row_after_an_outage_waits_though_two_channels_agree() -> None:
    """There is nothing to see a lone wrong reading by."""
    read = recording(60.0, A=[0.0] * 60)
    read.readings[:, 0, TEMPERATURE], read.readings[:, 0, CO] = 20.0, 0.0
    read.readings[20:50] = np.nan
    read.readings[50, 0, TEMPERATURE], read.readings[50, 0, CO] = 70.0, 40.0
    assert [kind for kind, *_ in brief(read)] == ["fault", "restored", "fault", "restored"]
    read.readings[51, 0, TEMPERATURE] = 70.0
    assert brief(read)[2] == ("alarm", 51 * 60.0, "A")


def test_alarms_again_after_clearing() -> None:
    once = [HIGH] * 5 + [LOW] * 20
    kinds = [event[0] for event in brief(recording(A=[LOW] * 5 + once * 3))]
    assert kinds == ["alarm", "clear"] * 3


def test_several_sensors_are_one_incident() -> None:
    read = recording(
        A=[LOW] * 10 + [HIGH] * 20 + [LOW] * 40,
        B=[LOW] * 15 + [HIGH] * 30 + [LOW] * 25,
        C=[LOW] * 70,
    )
    assert brief(read) == [("alarm", 120.0, "A"), ("clear", 570.0, "A")]


def test_silence_is_a_fault_and_keeps_the_alarm() -> None:
    read = recording(A=[LOW] * 5 + [HIGH] * 5 + [np.nan] * 40 + [LOW] * 14, B=[LOW] * 64)
    assert events_of(read)[1:] == [
        {"event": "fault", "time_s": 270.0, "sensor": "A", "channel": "all", "reason": "silent"},
        {"event": "restored", "time_s": 500.0, "sensor": "A", "channel": "all", "reason": "silent"},
        {"event": "clear", "time_s": 620.0, "sensor": "A", "risk": 1.0, "cause": "model"},
    ]


def test_a_lone_sensor_that_stays_silent_is_a_fault() -> None:
    read = recording(A=[LOW] * 5 + [np.nan] * 30)
    assert brief(read) == [("fault", 220.0, "A")]


def test_a_missing_channel_is_a_fault() -> None:
    read = recording(A=[LOW] * 60)
    read.readings[:30, 0, CO] = 1.0
    read.readings[50:, 0, CO] = 1.0
    assert events_of(read) == [
        {"event": "fault", "time_s": 480.0, "sensor": "A", "channel": "co", "reason": "missing"},
        {"event": "restored", "time_s": 500.0, "sensor": "A", "channel": "co", "reason": "missing"},
    ]


def test_a_stuck_channel_is_a_fault() -> None:
    read = recording(60.0, A=[LOW] * 240)
    usual = np.arange(240) % 4
    read.readings[:, 0, TEMPERATURE] = np.where(np.arange(240) < 100, 20.0 + 0.5 * usual, 20.5)
    read.readings[200:, 0, TEMPERATURE] = 21.0
    # it stands from row 100 on: an hour later it is known
    assert events_of(read) == [
        {"event": "fault", "time_s": 9600.0, "sensor": "A", "channel": "temperature",
         "reason": "stuck"},
        {"event": "restored", "time_s": 12000.0, "sensor": "A", "channel": "temperature",
         "reason": "stuck"},
    ]  # fmt: skip


@pytest.mark.parametrize("since_s", [0.0, 150.0, 1e9])
def test_no_decision_before_a_time(since_s: float) -> None:
    read = recording(A=[HIGH] * 60)
    found = detect(Scorer(score, SETTINGS), read, since_s=since_s)
    assert found.times_s.tolist() == [t for t in read.times_s.tolist() if t >= since_s]
    alarms = [event["time_s"] for event in found.events if event["event"] == "alarm"]
    assert alarms == ([since_s + 20.0] if since_s < 1e9 else [])


@pytest.mark.parametrize(
    ("channel", "values", "cause", "time_s"),
    [
        (TEMPERATURE, [20.0] * 10 + [60.0] * 10, "heat", 100.0 + CONFIRM_S),
        (TEMPERATURE, [20.0] * 10 + [30.0] * 10, "rate_of_rise", 100.0 + CONFIRM_S),
        (CO, [0.0] * 10 + [400.0] * 20, "co_dose", 220.0),
    ],
)
def test_rules_fire_at_no_risk(
    channel: int, values: list[float], cause: str, time_s: float
) -> None:
    read = recording(A=[0.0] * len(values))
    read.readings[:, 0, channel] = values
    assert events_of(read)[0] == {
        "event": "alarm", "time_s": time_s, "sensor": "A", "risk": 0.0, "cause": cause,
    }  # fmt: skip


@pytest.mark.parametrize("others", [(), ("B",)])
def test_a_lone_jump_is_a_fault_alike_with_and_without_neighbours(others: tuple[str, ...]) -> None:
    read = recording(60.0, A=[0.0] * 8, **{name: [0.0] * 8 for name in others})
    read.readings[:, 0, TEMPERATURE] = [20.0] * 4 + [70.0, 20.0, 20.0, 20.0]
    assert [(e["event"], e["time_s"], e["channel"], e["reason"]) for e in events_of(read)] == [
        ("fault", 300.0, "temperature", "jump"),
        ("restored", 360.0, "temperature", "jump"),
    ]


@pytest.mark.parametrize(("level", "channel"), [(70.0, TEMPERATURE), (HIGH, PM25)])
def test_claims_do_not_bridge_an_outage(level: float, channel: int) -> None:
    """Two high readings two hours apart are two lone readings."""
    read = recording(60.0, A=[LOW] * 130)
    read.readings[:, 0, TEMPERATURE] = 20.0
    read.readings[5:125] = np.nan
    for row in (4, 125):
        read.readings[row, 0, channel] = level
    alarms = [e["time_s"] for e in events_of(read) if e["event"] == "alarm"]
    assert alarms == [4 * 60.0 + 60.0 + LATE_S]  # of the last row before, by itself


def test_a_dose_does_not_bridge_two_hours_without_co() -> None:
    read = recording(60.0, A=[LOW] * 200)
    read.readings[:3, 0, CO] = read.readings[130:132, 0, CO] = 120.0
    assert "alarm" not in {e["event"] for e in events_of(read)}


@pytest.mark.parametrize("period_s", [120.0, 148.0, 300.0, 900.0])
def test_a_slow_sensor_is_not_silent(period_s: float) -> None:
    assert brief(recording(period_s, A=[LOW] * 40)) == []


def test_a_sensor_that_reports_on_change_is_soon_not_silent() -> None:
    """Pauses of a minute's median and up to an hour: its faults end once that is known."""
    random = np.random.default_rng(0)
    times = np.cumsum(np.minimum(random.exponential(90.0, 2000) ** 1.5 / 9.0, 3600.0).round(1) + 1)
    readings = np.full((len(times), 1, len(CHANNELS)), np.nan, np.float32)
    readings[:, 0, PM25] = LOW
    faults = [e["time_s"] for e in events_of(Recording("r", times, ("A",), readings))]
    assert len(faults) < 24
    assert sum(at > times[500] for at in faults) < 10


def ticked(period_s: float, values: list[float], until_s: float) -> list[tuple]:
    """What is said of a stream that ends and of the clock that goes on, with the time on it."""
    detector = Detector(Scorer(score, SETTINGS))
    out = []
    rows = recording(period_s, A=values)
    for time_s, row in zip(rows.times_s, rows.readings[:, 0], strict=True):
        out += detector.update(float(time_s), "A", row)
    now_s = float(rows.times_s[-1])
    while (due_s := detector.next_due()) <= until_s:
        assert due_s > now_s
        now_s = due_s
        events = detector.tick(now_s)
        assert {e["time_s"] for e in events} <= {round(now_s, 1)}
        out += events
    return [(e["event"], e["time_s"], e.get("reason")) for e in out]


def test_the_clock_says_what_no_further_row_says() -> None:
    assert ticked(10.0, [LOW] * 30, 2000.0) == [("fault", 290.0 + 180.0, "silent")]
    high = ticked(60.0, [LOW] * 5 + [HIGH], 2000.0)
    assert high == [("alarm", 365.0, None), ("fault", 300.0 + 180.0, "silent")]
    # a bin that no row ends closes by the clock
    assert ticked(7.0, [LOW] * 11 + [HIGH] * 4, 130.0) == [("alarm", 100.0, None)]


def test_a_row_that_ends_a_bin_is_decided_on_at_once() -> None:
    detector = Detector(Scorer(score, SETTINGS))
    events = []
    for k in range(9):
        particles = LOW if k < 5 else HIGH
        events = detector.update(60.0 * k, "A", {"pm25": particles, "temperature": 20.0})
        if events:
            break
    assert [(e["event"], e["time_s"]) for e in events] == [("alarm", 360.0)]


def test_pieces_of_one_time_are_one_reading() -> None:
    """Each quantity in a row of its own decides as the whole row does."""
    whole, pieces = (Detector(Scorer(score, SETTINGS)) for _ in range(2))
    said: tuple[list, list] = ([], [])
    for k in range(30):
        row = {"pm25": LOW if k < 9 else HIGH, "temperature": 20.0 + k, "co": float(k)}
        said[0].extend(whole.update(30.0 * k, "A", row))
        for name in sorted(row, key=lambda name, k=k: hash((name, k))):
            said[1].extend(pieces.update(30.0 * k, "A", {name: row[name]}))
    assert said[0] == said[1]
    np.testing.assert_array_equal(whole.streams["A"].history, pieces.streams["A"].history)


def test_late_rows_count() -> None:
    late, on_time = (Detector(Scorer(score, SETTINGS)) for _ in range(2))
    for k in range(20):
        for detector, delay_s in ((late, 4.0), (on_time, 0.0)):
            detector.update(10.0 * k + 5.0, "clock", {"humidity": 40.0})
            detector.update(10.0 * k + 5.0 - delay_s, "A", {"pm25": float(k)})
    np.testing.assert_array_equal(late.streams["A"].history, on_time.streams["A"].history)
    said = late.update(20.0, "A", {"pm25": HIGH})  # long past: it counts from now on
    assert said == []
    assert late.now_s == 195.0
    assert late.streams["A"].history[-1, PM25] != HIGH
    late.tick(200.0)
    assert late.streams["A"].history[-1, PM25] == (19.0 + HIGH) / 2


def test_a_sensor_that_is_known_to_be_away_is_silent_now_and_no_alarm_clears_by_it() -> None:
    detector = Detector(Scorer(score, SETTINGS), longest_interval_s=3600.0)
    assert detector.lose("A") == [], "no row of it has come"
    assert [e["event"] for k in range(10)
            for e in detector.update(10.0 * k, "A", {"pm25": HIGH})] == ["alarm"]  # fmt: skip
    detector.tick(100.0)
    fault = {"time_s": 100.0, "sensor": "A", "channel": "all", "reason": "silent"}
    assert detector.lose("A") == [{"event": "fault", **fault}]
    assert detector.lose("A") == detector.tick(1e4) == [], "it is said once"
    assert detector.space.incident == "A", "silence is no calm"
    assert detector.update(1e4, "A", {"pm25": HIGH}) == [
        {"event": "restored", **fault | {"time_s": 1e4}}
    ]


def test_a_person_clears_the_alarm_and_the_model_is_quiet_for_ten_minutes() -> None:
    detector = Detector(Scorer(score, SETTINGS))
    events = []
    for k in range(100):
        events += detector.update(10.0 * k, "A", {"pm25": HIGH})
        if k == 20:
            events += detector.acknowledge()
    said = [(e["event"], e["time_s"], e["cause"]) for e in events if e["event"] != "warning"]
    assert said == [
        ("alarm", 20.0, "model"), ("clear", 200.0, "acknowledged"), ("alarm", 800.0, "model"),
    ]  # fmt: skip
    assert detector.acknowledge()[0]["event"] == "clear"
    assert detector.acknowledge() == []
    assert detector.update(1000.0, "A", {"temperature": 80.0}) == []
    assert [e["cause"] for e in detector.update(1010.0, "A", {"temperature": 80.0})] == ["heat"]


def test_what_is_no_reading_is_refused_or_missing() -> None:
    detector = Detector(Scorer(score, SETTINGS))
    for time_s, readings in ((math.nan, {}), (math.inf, {}), (0.0, np.zeros(3)), (0.0, {"x": 1.0})):
        with pytest.raises(InputError):
            detector.update(time_s, "A", readings)
    for k in range(5):
        endless = np.full(len(CHANNELS), np.inf)
        assert detector.update(10.0 * k, "A", endless) == []


IMPOSSIBLE = {
    "temperature": [-127.0, 85.0, 999.0, 999.9, -41.0, 1201.0, 1e39],
    "pm25": [-1.0, 999.9, float(np.float32(999.9)), 1e39],
    "co2": [0.0, 99.0, 1e39],
    "co": [-1.0, 1e39],
    "humidity": [-1.0, 1e39],
}


@pytest.mark.parametrize(
    ("channel", "value"), [(c, v) for c, some in IMPOSSIBLE.items() for v in some]
)
@pytest.mark.parametrize("by_name", [True, False])
def test_an_impossible_or_known_wrong_value_is_no_reading(
    channel: str, value: float, by_name: bool
) -> None:
    """As in a file and a stream; once it went to the model, which alarmed or gave no number."""
    seen: list[np.ndarray] = []
    model = Scorer(lambda windows: seen.append(windows) or np.zeros(len(windows)), SETTINGS)
    detector, events = Detector(model), []
    index = CHANNEL_NAMES.index(channel)
    good = CHANNELS[index].rest + 1.0
    for k in range(20):
        readings = np.full(len(CHANNELS), np.nan)
        readings[index] = value if 5 <= k < 10 else good
        events += detector.update(
            10.0 * k, "A", {channel: float(readings[index])} if by_name else readings
        )
    assert [(e["event"], e["time_s"], e["channel"]) for e in events] == [
        ("fault", 50.0, channel), ("restored", 100.0, channel)
    ]  # fmt: skip
    shown = np.concatenate(seen)[..., index]
    assert set(shown[np.isfinite(shown)].tolist()) == {float(np.float32(good))}
    assert not np.isinf(shown).any()


def test_a_reading_over_the_range_by_a_healthy_sensor_s_overshoot_is_its_end() -> None:
    detector = Detector(Scorer(score, SETTINGS))
    assert detector.update(0.0, "A", {"humidity": 103.0}) == []
    assert detector.tick(10.0) == []
    assert detector.streams["A"].latest()[CHANNEL_NAMES.index("humidity")] == 100.0


@pytest.mark.parametrize("rows", [0, 1, 5])
def test_time_that_has_no_end_or_is_no_number(rows: int) -> None:
    """Once neither call came back."""
    detector = Detector(Scorer(score, SETTINGS))
    for k in range(rows):
        detector.update(10.0 * k, "A", {"temperature": 21.0})
    with pytest.raises(InputError, match="came nan"):
        detector.tick(math.nan)
    assert [e["reason"] for e in detector.tick(math.inf)] == ["silent"] * (rows > 0)
    assert detector.tick(math.inf) == []
    assert detector.now_s < math.inf
    assert detector.finish() == []


def test_every_fault_of_a_cell_is_said_once() -> None:
    detector = Detector(Scorer(score, SETTINGS))
    events = detector.update(0.0, "A", {"pm25": LOW, "co": 0.0})
    for k in range(1, 9):
        word = {"pm25": "unavailable", "co": "unavailable"}
        events += detector.update(10.0 * k, "A", np.full(len(CHANNELS), np.nan), word)
    events += detector.update(90.0, "A", {"pm25": LOW}, {"co": "unknown"})
    events += detector.update(100.0, "A", {"pm25": LOW, "co": 0.0})
    assert [(e["event"], e["time_s"], e["channel"], e["reason"]) for e in events] == [
        ("fault", 10.0, "all", "unavailable"), ("restored", 90.0, "all", "unavailable"),
        ("fault", 90.0, "co", "unknown"), ("restored", 100.0, "co", "unknown"),
    ]  # fmt: skip


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf])
def test_a_model_whose_risk_is_no_number_is_damaged_and_never_calm(wrong: float) -> None:
    read = recording(A=[LOW] * 30)
    model = Scorer(lambda windows: np.where(np.arange(len(windows)) == 0, wrong, 0.0), SETTINGS)
    for use in (lambda: detect(model, read), lambda: streamed(read, model.score)):
        with pytest.raises(InputError, match="damaged"):
            use()


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda windows: np.full(len(windows), 150.0), "came 150 to 150; allowed: a risk in perc"),
        (lambda windows: np.full(len(windows), -1.0), "came -1 to -1"),
        (lambda windows: np.zeros((len(windows), 1)), r"came shape \(\d+, 1\) of \d+ windows"),
        (lambda windows: np.zeros(len(windows) + 1), r"came shape \(\d+,\) of"),
        (lambda windows: None, r"came shape \(\) of"),
    ],
)
def test_a_score_is_a_percentage_a_window(wrong, says: str) -> None:
    """Of a model of one's own: 150 % alarmed, and another shape ended in numpy's words."""
    read = recording(A=[LOW] * 30)
    for use in (
        lambda: detect(Scorer(wrong, SETTINGS), read),
        lambda: streamed(read, wrong),
    ):
        with pytest.raises(InputError, match=f"^score: {says}"):
            use()


def test_no_number_is_no_time_to_begin_at() -> None:
    """No decision was taken, and so nothing was ever found."""
    with pytest.raises(InputError, match="since_s: came nan"):
        detect(Scorer(score, SETTINGS), recording(A=[HIGH] * 30), since_s=math.nan)


@pytest.mark.parametrize("level", [1e30, math.inf])
def test_a_model_is_not_called_damaged_for_what_no_sensor_shows(level: float) -> None:
    """A recording that was made by hand is not masked as a file is."""
    readings = np.full((30, 1, len(CHANNELS)), level, np.float32)
    read = Recording("made", 10.0 * np.arange(30), ("A",), readings)
    with pytest.raises(InputError, match=r"^readings: came .* of temperature; allowed: -40 to "):
        detect(saafe.load(), read)


@pytest.mark.parametrize("name", [1, np.int64(1), None, 1.0, b"A"])
def test_a_sensor_is_a_name(name) -> None:
    """A saved state held the number as text: the restored detector called it silent."""
    detector = Detector(Scorer(score, SETTINGS))
    with pytest.raises(InputError, match=f"^sensor: takes a name, .*, got {type(name).__name__}$"):
        detector.update(0.0, name, {"temperature": 21.0})
    assert detector.state() == Detector(Scorer(score, SETTINGS)).state()


def test_nothing_to_read() -> None:
    read = recording(A=[np.nan] * 5)
    assert brief(read) == []
    assert len(detect(Scorer(score, SETTINGS), read).risk) == 0


def test_decisions_stand_beside_the_events() -> None:
    found = detect(
        Scorer(score, SETTINGS), recording(30.0, A=[1.0, 2.0, 3.0], B=[4.0, np.nan, 6.0])
    )
    assert found.times_s.tolist() == [0.0, 0.0, 30.0, 60.0, 60.0]
    assert found.sensors.tolist() == [0, 1, 0, 0, 1]
    assert found.risk.tolist() == [1.0, 4.0, 2.0, 3.0, 6.0]


def test_reset_forgets() -> None:
    read = recording(A=[LOW] * 5 + [HIGH] * 5)
    detector = Detector(Scorer(score, SETTINGS))
    said = []
    for _ in range(2):
        detector.reset()
        events = []
        for time_s, row in zip(read.times_s, read.readings[:, 0], strict=True):
            events += detector.update(float(time_s), "A", row)
        said.append(events + detector.finish())
    assert said[0] == said[1] != []


def test_stream_and_recording_score_the_same_windows() -> None:
    random = np.random.default_rng(0)
    times = np.unique(random.uniform(0.0, 12_000.0, 600).round(1))
    times = times[(times < 3000.0) | (times > 4000.0)]
    times -= times[0]
    readings = random.normal(50.0, 20.0, (len(times), 2, len(CHANNELS))).clip(1.0, 99.0)
    readings[..., CO2] += 500.0
    readings = readings.astype(np.float32)
    readings[random.random(readings.shape) < 0.4] = np.nan
    seen: list[np.ndarray] = []

    def keep(windows: np.ndarray) -> np.ndarray:
        assert windows.dtype == np.float32
        assert windows.shape[1:] == (60, 1, len(CHANNELS))
        seen.extend(windows.copy())
        return np.zeros(len(windows))

    read = Recording("r", times, ("A", "B"), readings)
    found = detect(Scorer(keep, SETTINGS), read)
    bulk = np.stack(seen)
    seen.clear()
    streamed(read, keep)
    by_time = np.stack(seen)
    # in bulk, sensor after sensor; on a stream, by time
    assert len(by_time) == len(bulk) == len(found.risk)
    a = np.concatenate([by_time[found.sensors == 0], by_time[found.sensors == 1]])
    np.testing.assert_array_equal(a, bulk)


@st.composite
def recordings(draw: st.DrawFn) -> Recording:
    """Irregular times, gaps, several sensors, missing channels, and fires of every kind."""
    steps = draw(
        st.lists(st.sampled_from([0.5, 1.0, 7.3, 10.0, 10.0, 30.0, 60.0, 85.0, 200.0, 8000.0]),
                 min_size=1, max_size=60)
    )  # fmt: skip
    times = np.concatenate([[0.0], np.cumsum(steps)])
    names = draw(st.sampled_from([("A",), ("B", "A"), ("A", "B", "C")]))
    levels = {
        TEMPERATURE: st.sampled_from([20.0, 20.0, 30.0, 70.0, np.nan]),
        PM25: st.sampled_from([LOW, LOW, RAISED, MIDDLE, HIGH, HIGH, np.nan]),
        CO: st.sampled_from([0.0, 60.0, 400.0, np.nan]),
    }
    readings = np.full((len(times), len(names), len(CHANNELS)), np.nan, np.float32)
    for sensor in range(len(names)):
        for channel, level in levels.items():
            # runs of one value, so that something lasts
            at = 0
            while at < len(times):
                length = draw(st.integers(1, 15))
                readings[at : at + length, sensor, channel] = draw(level)
                at += length
    return Recording("random", times, names, readings)


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(recordings())
def test_stream_equals_recording(read: Recording) -> None:
    events = events_of(read)
    for event in events:
        keys = {
            "alarm": {"risk", "cause"}, "clear": {"risk", "cause"}, "warning": {"risk", "cause"},
            "fault": {"channel", "reason"}, "restored": {"channel", "reason"},
        }[event["event"]]  # fmt: skip
        assert set(event) == {"event", "time_s", "sensor"} | keys
        assert event["sensor"] in read.sensors
    # one alarm an incident: no second one before a clear
    incident = [e["event"] for e in events if e["event"] in ("alarm", "clear")]
    assert incident == (["alarm", "clear"] * len(incident))[: len(incident)]
    faults: dict[tuple, int] = {}
    for event in events:
        if event["event"] in ("fault", "restored"):
            key = event["sensor"], event["channel"]
            faults[key] = faults.get(key, 0) + (1 if event["event"] == "fault" else -1)
            assert faults[key] in (0, 1)


@pytest.mark.parametrize(
    ("time_s", "readings"),
    [
        (math.nan, {"temperature": 21.0}),
        ("400", {"temperature": 21.0}),
        (None, {"temperature": 21.0}),
        (400.0, {"temperature": "warm"}),
        (400.0, {"temp": 21.0}),
        (400.0, [21.0, 8.0]),
        (400.0, "warm"),
        (400.0, {"temperature": 10**400}),
    ],
)
def test_a_refused_row_changes_nothing(time_s, readings) -> None:
    """Time had gone on: that the sensor was silent until then was never said."""
    detector = Detector(Scorer(score, SETTINGS))
    for k in range(5):
        detector.update(10.0 * k, "A", {"temperature": 21.0})
    before = detector.state()
    with pytest.raises(InputError) as refused:
        detector.update(time_s, "A", readings)
    assert "allowed: " in str(refused.value) or "use temperature" in str(refused.value)
    assert detector.state() == before
    (silent,) = detector.update(400.0, "B", {"temperature": 21.0})
    assert silent["reason"] == "silent"


def test_what_is_no_model_or_recording_is_refused_in_one_line() -> None:
    one = Recording("r", np.arange(2.0), ("A",), np.full((2, 1, len(CHANNELS)), 20.0))
    model = Scorer(score, SETTINGS)
    for call in (lambda: Detector(one), lambda: detect(one, model), lambda: detect(model, "r.csv")):  # type: ignore
        with pytest.raises(InputError, match=r"got (Recording|str)"):
            call()


@pytest.mark.parametrize("now_s", ["3", None, math.nan, "", [1.0]])
def test_a_time_that_is_no_number_is_refused_in_one_line(now_s) -> None:
    detector = Detector(Scorer(score, SETTINGS))
    detector.update(0.0, "A", {"temperature": 20.0})
    with pytest.raises(InputError, match="now_s: came"):
        detector.tick(now_s)


@pytest.mark.parametrize("longest_s", ["60", [60.0], 0.0, -1.0, math.nan, math.inf])
def test_a_longest_interval_that_is_none_is_refused_in_one_line(longest_s) -> None:
    with pytest.raises(InputError, match="longest interval: came"):
        Detector(Scorer(score, SETTINGS), longest_interval_s=longest_s)


def test_a_part_without_a_row_and_a_folder_that_is_not_there_are_refused(tmp_path) -> None:
    with pytest.raises(InputError, match="has no row between 500 and 600 s"):
        cut_recording(recording(A=[LOW] * 3), 500.0, 600.0)
    with pytest.raises(InputError, match="no such folder"):
        read_sets(tmp_path / "nowhere")
