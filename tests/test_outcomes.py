"""outcomes: counting alarms, finding fires, judging homes, margins."""

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from saafe.detector.alarms import log_odds
from saafe.detector.recorded import Detection
from saafe.exam import outcomes
from saafe.recordings.recording import Recording
from saafe.recordings.watched import exposure_s
from saafe.sensors import CHANNELS, CO, FIRE, NORMAL


def alarm(time, sensor="A", cause="model"):
    return {"event": "alarm", "time_s": time, "sensor": sensor, "risk": 97.0, "cause": cause}


def clear(time, sensor="A"):
    return {"event": "clear", "time_s": time, "sensor": sensor, "risk": 3.0}


def minutes(*values):
    return tuple(60.0 * value for value in values)


@pytest.mark.parametrize(
    ("events", "counted"),
    [
        ([], ()),
        ([alarm(60), clear(120)], minutes(1)),
        # stays: again every 30 minutes, not at the moment that it clears
        ([alarm(0), clear(5400)], minutes(0, 30, 60)),
        ([alarm(0), clear(5401)], minutes(0, 30, 60, 90)),
        # a second one within 30 minutes is the same incident
        ([alarm(0), clear(60), alarm(600), clear(700)], minutes(0)),
        # unless it still stands when they have passed
        ([alarm(0), clear(60), alarm(600), clear(2000)], minutes(0, 30)),
        ([alarm(0), clear(60), alarm(1800), clear(1900)], minutes(0, 30)),
        # any sensor's alarm is the space's; overlapping ones are one
        ([alarm(0, "A"), alarm(300, "B"), clear(600, "A"), clear(1500, "B")], minutes(0)),
        ([alarm(0, "A"), alarm(300, "B"), clear(600, "A"), clear(1900, "B")], minutes(0, 30)),
        # never cleared: to the end of the recording, two hours
        ([alarm(3600)], minutes(60, 90)),
        ([alarm(7200)], minutes(120)),
        # other events and a second alarm line of one sensor are no new start
        (
            [
                {"event": "warning", "time_s": 0, "sensor": "A"},
                alarm(60),
                alarm(90, cause="heat"),
                clear(120),
                {"event": "fault", "time_s": 3000, "sensor": "A"},
            ],
            minutes(1),
        ),
    ],
)
def test_count_alarms(events, counted):
    assert outcomes.count_alarms(events, 7200.0).times_s == counted


def test_hours_in_alarm_are_the_union():
    events = [alarm(0, "A"), alarm(1800, "B"), clear(3600, "A"), clear(5400, "B")]
    count = outcomes.count_alarms(events, 86400.0)
    assert count.hours == 1.5
    assert count.days == 1.0
    assert outcomes.count_alarms(events, 86400.0, watched_s=43200.0).days == 0.5


@pytest.mark.parametrize(
    ("alarm_s", "signal_s", "limit_s", "recorded_s", "expected"),
    [
        (100.0, 60.0, 120.0, None, "in time"),
        (120.0, 60.0, 120.0, None, "in time"),
        (120.1, 60.0, 120.0, None, "late"),
        (None, 60.0, 120.0, None, "missed"),
        (50.0, 60.0, 120.0, None, "in time"),
        (49.9, 60.0, 120.0, None, "early"),
        (49.9, 60.0, 120.0, 59.0, "in time"),  # a commercial alarm saw it as soon
        (48.9, 60.0, 120.0, 59.0, "early"),  # before both
        (49.9, 60.0, 120.0, 90.0, "early"),
        (49.9, None, 120.0, None, "early"),
        (900.0, 60.0, None, None, "in time"),
    ],
)
def test_found(alarm_s, signal_s, limit_s, recorded_s, expected):
    found = outcomes.fire_outcome(
        alarm_s, signal_s=signal_s, limit_s=limit_s, recorded_s=recorded_s
    )
    assert found == expected


def test_the_first_alarm_is_the_first_event_of_its_kind():
    assert outcomes.first_alarm([clear(1), alarm(50), alarm(60)])["time_s"] == 50
    assert outcomes.first_alarm([clear(1)]) is None


def quiet_home(days=2.0, period_s=60.0, gap=None):
    times = np.arange(0.0, days * 86400.0 + 1.0, period_s)
    if gap:
        times = times[(times <= gap[0]) | (times >= gap[1])]
    readings = np.full((len(times), 1, len(CHANNELS)), 20.0, dtype=np.float32)
    return Recording("home", times, ("A",), readings)


def test_a_home_counts_all_alarms_and_nuisances_apart():
    sessions = [(3600.0, 5400.0), (40_000.0, 41_000.0)]
    events = [alarm(3000), clear(3100), alarm(7100), clear(7190), alarm(60_000), clear(60_100)]
    home = outcomes.score_home(events, quiet_home(), sessions)
    assert home.co_alarms == outcomes.HomeRow("home", 1.0, 0, [], 0, 0, 0, 0.0).co_alarms == 0
    assert (home.alarms, home.nuisance_alarms) == (3, 1)
    assert (home.sessions, home.sessions_with_alarm) == (2, 1)
    assert home.days == pytest.approx(2.0)
    total = outcomes.sum_homes([home, home])
    assert total["false_alarms_per_day"]["value"] == pytest.approx(6 / 4)
    assert total["nuisance_per_100_sessions"]["value"] == 50.0
    assert total["nuisance_per_100_sessions"]["upper"] > 150.0
    assert total["hours_in_alarm_per_day"] == pytest.approx(2 * 290 / 3600 / 4)


def test_a_gap_is_no_exposure():
    home = quiet_home(gap=(3600.0, 3600.0 + 86400.0))
    assert exposure_s(home) == pytest.approx(86400.0 + 120.0)


@pytest.mark.parametrize("period_s", [1.0, 10.0, 60.0, 120.0, 300.0, 900.0, 3600.0])
def test_a_home_is_watched_all_the_time_at_any_period_and_not_in_a_gap(period_s):
    assert exposure_s(quiet_home(period_s=period_s)) == pytest.approx(2 * 86400.0)
    silent = quiet_home(period_s=period_s, gap=(36_000.0, 36_000.0 + 86400.0))
    assert exposure_s(silent) == pytest.approx(86400.0 + max(120.0, 2 * period_s))


@pytest.mark.parametrize("readings", [0, 1])
@pytest.mark.parametrize("days", [None, 0.0])
def test_a_home_that_was_not_watched_counts_no_days(readings, days):
    """An exposure of nothing had counted as the whole recording, all of it silent."""
    home = quiet_home()
    home.readings[readings:] = np.nan
    assert outcomes.score_home([], home, [], days=days).days == 0.0
    assert outcomes.count_alarms([], 86400.0, watched_s=0.0).days == 0.0


def test_a_home_whose_sensor_reports_on_change_is_watched_between_its_reports():
    times = np.concatenate([[0.0], np.cumsum(np.tile([10.0, 20.0, 600.0, 1800.0], 48))])
    times[97:] += 5 * 86400.0  # one outage
    readings = np.full((len(times), 1, len(CHANNELS)), 20.0, dtype=np.float32)
    days = exposure_s(Recording("home", times, ("A",), readings)) / 86400.0
    assert days == pytest.approx(48 * 2430 / 86400.0, abs=0.1)


def test_a_session_in_a_silence_was_not_watched():
    home = quiet_home(gap=(36_000.0, 36_000.0 + 86400.0))
    sessions = [(30_000.0, 30_600.0), (35_900.0, 36_500.0), (60_000.0, 63_000.0), (63_000.0, 125e3)]
    row = outcomes.score_home([alarm(30_060), clear(30_200)], home, sessions)
    assert (row.sessions, row.sessions_with_alarm) == (3, 1)
    slow = quiet_home(period_s=3600.0)  # its last reading is known in between
    assert outcomes.score_home([], slow, [(4000.0, 4600.0)]).sessions == 1


def test_an_alarm_that_stands_lasts_to_the_end_of_the_recording():
    home = outcomes.score_home([alarm(2 * 86400.0 - 7200.0)], quiet_home(), [])
    assert home.hours_in_alarm == pytest.approx(2.0)
    assert home.alarm_times_s == [2 * 86400.0 - 7200.0 + k for k in (0.0, 1800.0, 3600.0, 5400.0)]


def test_rates_of_homes_are_a_day_a_year_and_100_sessions():
    home = outcomes.HomeRow("home", 10.0, 3, [1.0, 2.0, 3.0], 1, 4, 1, 0.5, 2)
    total = outcomes.sum_homes([home, home])
    assert (total["days"], total["alarms"], total["sessions"], total["co_alarms"]) == (20, 6, 8, 4)
    assert total["false_alarms_per_day"]["value"] == pytest.approx(0.3)
    assert total["false_alarms_per_year"]["value"] == pytest.approx(0.3 * 365.25)
    assert total["nuisance_per_100_sessions"]["value"] == pytest.approx(25.0)
    assert total["hours_in_alarm_per_day"] == pytest.approx(0.05)


@pytest.mark.parametrize(("at_s", "is_right"), [(179.0, False), (180.0, True), (1200.0, True),
                                                (1210.0, True), (1211.0, False)])  # fmt: skip
def test_an_alarm_in_a_dose_of_carbon_monoxide_is_not_false(at_s, is_right):
    """300 ppm from 60 s on: the dose is complete 120 s later; it ends with the next clean row."""
    times = 10.0 * np.arange(300)
    readings = np.zeros((300, 1, len(CHANNELS)), np.float32)
    readings[(times >= 60.0) & (times <= 1200.0), 0, CO] = 300.0
    home = Recording("home", times, ("A",), readings)
    row = outcomes.score_home([alarm(at_s), clear(at_s + 5.0)], home, [])
    assert (row.co_alarms, row.alarms) == (int(is_right), int(not is_right))


@pytest.mark.parametrize("period_s", [10.0, 30.0, 60.0, 90.0])
@pytest.mark.parametrize("sensors", [1, 2, 3])
def test_the_grace_is_a_sensors_own_report(period_s, sensors):
    """Two sensors that report in turn had half the grace of each."""
    times = np.arange(30 * sensors) * period_s / sensors
    readings = np.full((len(times), sensors, len(CHANNELS)), np.nan, dtype=np.float32)
    for k in range(sensors):
        readings[k::sensors, k] = 20.0
    made = Recording("made", times, tuple("ABC"[:sensors]), readings)
    assert outcomes.grace(made) == pytest.approx(min(period_s, 60.0))


def test_the_grace_is_a_report_and_at_most_a_minute():
    def graced(*times):
        readings = np.full((len(times), 1, len(CHANNELS)), 20.0, dtype=np.float32)
        return outcomes.grace(Recording("made", np.array(times), ("A",), readings))

    assert graced(0.0, 10.0, 20.0, 70.0) == 10.0
    assert graced(0.0, 300.0, 600.0) == 60.0
    assert graced(0.0, 30.0) == 30.0
    assert graced(0.0) == 0.0


def test_a_late_alarm_is_in_time_within_the_grace_and_a_rule_is_never_early():
    def came(alarm_s, **more):
        return outcomes.fire_outcome(alarm_s, signal_s=60.0, limit_s=120.0, **more)

    assert came(130.0, grace_s=10.0) == "in time"
    assert came(130.1, grace_s=10.0) == "late"
    assert came(10.0) == "early"
    assert came(10.0, by_rule=True) == "in time"


def test_results_are_counted_by_their_outcome():
    results = [SimpleNamespace(outcome=name) for name in ("in time", "late", "in time", "missed")]
    assert outcomes.counts_of(results) == {"n": 4, "in_time": 2, "late": 1, "early": 0, "missed": 1}


def test_a_home_is_watched_while_any_channel_of_any_sensor_tells_something():
    times = 60.0 * np.arange(21)
    readings = np.full((21, 2, len(CHANNELS)), np.nan, dtype=np.float32)
    readings[:6, 0, 0] = readings[5:, 1, 1] = 20.0
    made = Recording("made", times, ("A", "B"), readings)
    assert exposure_s(made) == 1200.0
    readings[:, 0] = np.nan
    assert exposure_s(made) == 900.0


def test_no_home_has_no_rate():
    assert math.isnan(outcomes.sum_homes([])["false_alarms_per_day"]["value"])


def test_a_fire_is_visible_from_its_first_label_at_any_sensor():
    times = 10.0 * np.arange(5)
    readings = np.full((5, 2, len(CHANNELS)), 20.0, dtype=np.float32)
    labels = np.full((5, 2), NORMAL)
    plain = Recording("made", times, ("A", "B"), readings)
    assert outcomes.first_visible(plain) is None
    assert outcomes.first_visible(replace(plain, labels=labels)) is None
    labels[3, 1] = FIRE
    labels[4, 0] = FIRE
    assert outcomes.first_visible(replace(plain, labels=labels)) == 30.0


def decisions(times, risk, sensors=None):
    sensors = np.zeros(len(times), dtype=int) if sensors is None else np.asarray(sensors)
    times, risk = np.asarray(times, dtype=float), np.asarray(risk, dtype=float)
    return Detection([], times, sensors, risk)


def test_persisted_score_passes_a_threshold_where_an_alarm_rule_would():
    generator = np.random.default_rng(0)
    times = np.arange(0.0, 3000.0, 10.0)
    risk = np.clip(np.cumsum(generator.normal(0, 8, len(times))) % 100, 1, 99)
    at, score = outcomes.persisted_score(decisions(times, risk), 60.0)
    for threshold in (20.0, 50.0, 80.0):
        limit = log_odds(threshold)
        run, fired = 0, []
        for value in risk:  # seven decisions span sixty seconds
            run = run + 1 if value >= threshold else 0
            fired.append(run >= 7)
        assert (score >= limit).tolist() == fired
    assert at.tolist() == times.tolist()


def test_persisted_score_keeps_sensors_apart():
    times = np.repeat(np.arange(0.0, 100.0, 10.0), 2)
    sensors = np.tile([0, 1], 10)
    risk = np.where((times / 10 + sensors) % 2 == 0, 90.0, 1.0)  # never both, never one for long
    _, score = outcomes.persisted_score(decisions(times, risk, sensors), 20.0)
    assert score.max() < 0.0


def test_hourly_scores_and_margin():
    hours, scores = outcomes.hourly_scores(
        np.array([0.0, 60.0, 3600.0, 7300.0]), np.array([1.0, 3.0, 2.0, -np.inf])
    )
    assert hours.tolist() == [0.0, 3600.0]
    assert scores.tolist() == [3.0, 2.0]
    assert outcomes.margin([7.0, 9.0], [1.0, 3.0], [1.0, 3.0]) == 4.0
    scaled = outcomes.margin([70.0, 90.0], [10.0, 30.0], [10.0, 30.0])
    assert scaled == 4.0  # free of the logit's scale
    assert math.isnan(outcomes.margin([], [1.0], [1.0, 3.0]))
    assert math.isnan(outcomes.margin([1.0], [1.0], [2.0, 2.0]))


def test_the_highest_score_of_a_time_includes_both_ends():
    times, scores = np.array([0.0, 10.0, 20.0, 30.0]), np.array([9.0, 2.0, 1.0, 8.0])
    assert outcomes.highest_between(times, scores, 10.0, 20.0) == 2.0
    assert outcomes.highest_between(times, scores, 10.1, 30.0) == 8.0
    assert outcomes.highest_between(times, scores, 0.0, 29.0) == 9.0
    assert outcomes.highest_between(times, scores, 11.0, 19.0) == -math.inf


def test_a_session_counts_until_30_minutes_after_its_end():
    times = np.array([99.0, 100.0, 200.0, 2000.0, 2001.0, 5000.0])
    found = outcomes.in_sessions(times, [(100.0, 200.0), (5000.0, 5000.0)])
    assert found.tolist() == [False, True, True, True, False, True]


def test_a_score_stands_for_exactly_its_persistence_time():
    """Gaps included: 20 s at 0, 10, 30, 45 and 65 s; nothing before 20 s were seen."""
    times, risk = [0.0, 10.0, 30.0, 45.0, 65.0], [90.0, 10.0, 80.0, 70.0, 99.0]
    _, score = outcomes.persisted_score(decisions(times, risk), 20.0)
    expected = [log_odds(lowest) for lowest in (10.0, 70.0, 70.0)]
    assert score[:2].tolist() == [-math.inf, -math.inf]
    assert score[2:].tolist() == pytest.approx(expected)
    # a pause longer than that before readings that are closer
    _, score = outcomes.persisted_score(decisions([0, 30, 40, 50], [90, 40, 80, 70]), 20.0)
    assert score[1:].tolist() == pytest.approx([log_odds(40.0)] * 3)


def test_saturated_risk_stays_finite():
    times = np.arange(0.0, 200.0, 10.0)
    _, score = outcomes.persisted_score(decisions(times, np.tile([0.0, 100.0], 10)), 0.0)
    assert np.isfinite(score).all()
