"""Persistence in two tiers, clearing, and the fixed rules beside the model."""

import math

import numpy as np
import pytest

from saafe.detector.alarms import (
    CONFIRM_S,
    LATE_S,
    AlarmSettings,
    Evidence,
    Held,
    SafetyRules,
    SensorAlarm,
    log_odds,
)

SETTINGS = AlarmSettings(
    warm_s=0.0, fast=6.0, slow=4.0, warn=1.0, leave=0.0, fast_s=20.0, slow_s=60.0, clear_s=120.0
)
HIGH, MIDDLE, RAISED, LOW = 7.0, 5.0, 2.0, -3.0


def said(odds: list[float], period_s: float = 10.0, rule: str | None = None) -> list[tuple]:
    """What one sensor says of decisions at a period: (time, what, cause)."""
    alarm = SensorAlarm(SETTINGS)
    out = []
    for k, value in enumerate(odds):
        step = alarm.step(k * period_s, value, rule)
        if step is not None:
            out.append((k * period_s, *step))
    return out


def test_fast_tier() -> None:
    assert said([LOW, HIGH, HIGH, HIGH, HIGH]) == [(30.0, "alarm", "model")]


def test_steady_tier_alarms_below_the_others_once_it_has_lasted() -> None:
    settings = AlarmSettings(steady=2.0, slow=4.0, fast=6.0, warm_s=0.0, steady_s=300.0)
    steady, broken = SensorAlarm(settings), SensorAlarm(settings)
    said = {t: steady.step(float(t), 3.0, None) for t in range(0, 310, 10)}
    assert said[290] is None or said[290][0] == "warning"
    assert said[300] == ("alarm", "model")
    for t in range(0, 600, 10):  # a fall in between begins the count anew
        said_too = broken.step(float(t), 1.9 if t == 290 else 3.0, None)
        assert said_too is None or said_too[0] != "alarm", t
    assert broken.step(600.0, 3.0, None) == ("alarm", "model")


def test_slow_tier() -> None:
    assert said([LOW] + [MIDDLE] * 6) == []
    assert said([LOW] + [MIDDLE] * 9) == [(70.0, "alarm", "model")]


@pytest.mark.parametrize("odds", [[HIGH], [HIGH, HIGH], [HIGH, MIDDLE, HIGH], [MIDDLE] * 6])
def test_what_does_not_last_does_not_alarm(odds: list[float]) -> None:
    assert said([LOW, *odds, LOW, LOW, *odds, LOW]) == []


def test_thresholds_are_inclusive() -> None:
    assert said([6.0, 6.0, 6.0])[0][0] == 20.0
    assert said([4.0] * 7)[0][0] == 60.0
    assert said([math.nextafter(4.0, 0.0)] * 7) == [(60.0, "warning", "model")]
    assert said([3.0] * 31) == [(60.0, "warning", "model"), (300.0, "alarm", "model")]  # steady
    assert said([math.nextafter(3.0, 0.0)] * 60) == [(60.0, "warning", "model")]
    assert said([1.0] * 7) == [(60.0, "warning", "model")]
    assert said([math.nextafter(1.0, 0.0)] * 60) == []
    assert len(said([HIGH] * 3 + [0.0] * 60)) == 1  # calm is below `leave`
    assert len(said([HIGH] * 3 + [math.nextafter(0.0, -1.0)] * 60)) == 2


def test_warning_opens_once() -> None:
    assert said([RAISED] * 30) == [(60.0, "warning", "model")]
    # it opens again after it has been calm
    again = said([RAISED] * 8 + [LOW] * 14 + [RAISED] * 8)
    assert [event[:2] for event in again] == [(60.0, "warning"), (280.0, "warning")]


def test_alarm_is_said_once_cleared_and_armed_again() -> None:
    odds = [HIGH] * 30 + [LOW] * 13 + [LOW] * 5 + [HIGH] * 3
    assert [event[:2] for event in said(odds)] == [
        (20.0, "alarm"), (420.0, "clear"), (500.0, "alarm"),
    ]  # fmt: skip


def test_alarm_does_not_clear_between_the_thresholds_nor_on_a_dip() -> None:
    assert len(said([HIGH] * 3 + [RAISED] * 60)) == 1
    assert len(said([HIGH] * 3 + ([LOW] * 12 + [RAISED]) * 5)) == 1


AGREES = Evidence(agree=True)


def test_a_held_reading_completes_the_fast_tier() -> None:
    alarm = SensorAlarm(SETTINGS)
    assert alarm.step(0.0, HIGH, None, AGREES) is None
    assert alarm.overdue() == 20.0
    assert alarm.step(60.0, LOW, None, AGREES) is None
    assert alarm.overdue() is None
    alarm.step(120.0, HIGH, None, Evidence(period_s=60.0))
    assert alarm.overdue() == 120.0 + 60.0 + LATE_S  # one channel alone


def test_what_completes_as_the_hush_ends_alarms() -> None:
    for until_s, due_s in ((20.0, 20.0), (20.1, None)):
        alarm = SensorAlarm(SETTINGS)
        alarm.hushed_until_s = until_s
        assert alarm.step(0.0, HIGH, None, AGREES) is None
        assert alarm.overdue() == due_s
        expected = None if due_s is None else ("alarm", "model")
        assert alarm.step(20.0, HIGH, None, AGREES) == expected


def test_a_lone_reading_is_believed_where_channels_agree_and_not_after_an_outage() -> None:
    first = Evidence(agree=True, is_first=True)
    for evidence, expected in ((AGREES, ("alarm", "model")), (Evidence(), None), (first, None)):
        alarm = SensorAlarm(SETTINGS)
        alarm.step(0.0, LOW, None)
        assert alarm.step(60.0, HIGH, None, evidence) == expected
    assert alarm.step(120.0, HIGH, None) == ("alarm", "model")


def test_a_decision_taken_again_counts_once() -> None:
    alarm = SensorAlarm(SETTINGS)
    alarm.step(0.0, LOW, None)
    assert alarm.step(60.0, LOW, None) is None
    assert alarm.step(60.0, HIGH, None, AGREES) == ("alarm", "model")


def test_rule_alarms_whatever_the_risk() -> None:
    assert said([LOW] * 40, rule="heat") == [(0.0, "alarm", "heat")]  # and never clears


def test_moved_shifts_every_threshold() -> None:
    moved = SETTINGS.moved(2.5)
    assert (moved.fast, moved.slow, moved.warn, moved.leave) == (8.5, 6.5, 3.5, 2.5)
    assert moved.steady == 5.5
    assert (moved.fast_s, moved.slow_s, moved.clear_s) == (20.0, 60.0, 120.0)
    assert AlarmSettings(**SETTINGS.to_dict()) == SETTINGS


@pytest.mark.parametrize(("risk", "odds"), [(50.0, 0.0), (90.0, math.log(9)), (0.0, -34.5)])
def test_log_odds(risk: float, odds: float) -> None:
    assert log_odds(risk) == pytest.approx(odds, abs=0.1)
    assert log_odds(100.0 - risk) == pytest.approx(-odds, abs=0.1)


def test_defaults_are_the_documented_ones() -> None:
    """docs/detector.md: 10 s, 60 s and 5 min, each at its own threshold."""
    ours = AlarmSettings()
    assert (ours.fast_s, ours.slow_s, ours.steady_s, ours.clear_s) == (10.0, 60.0, 300.0, 120.0)
    assert (ours.fast, ours.slow, ours.steady, ours.warn, ours.leave) == (6.0, 4.0, 3.0, 1.0, 0.0)
    assert (ours.warm_s, ours.longest_interval_s, ours.least) == (60.0, 0.0, 1.0)


def test_a_claim_that_is_not_made_has_held_for_no_time() -> None:
    """Also where a tier asks for none."""
    at_once = AlarmSettings(
        fast_s=0.0, slow_s=0.0, steady_s=0.0, warm_s=0.0, fast=6.0, slow=5.0, steady=4.0, warn=1.0
    )
    assert SensorAlarm(at_once).step(0.0, 1.5, None) == ("warning", "model")
    assert SensorAlarm(at_once).step(0.0, 0.5, None) is None
    held = Held()
    assert [held.step(10.0, False), held.step(20.0, True), held.step(50.0, True)] == [-1, 0, 30]
    assert held.step(60.0, False) == -1.0


def test_a_sensor_as_quick_as_the_tier_waits_for_its_next_reading() -> None:
    """One that reports less often than the tier asks for cannot contradict itself in time."""
    for period_s, expected in ((20.0, None), (20.1, ("alarm", "model"))):
        alarm = SensorAlarm(SETTINGS)
        alarm.step(0.0, LOW, None)
        assert alarm.step(period_s, HIGH, None, AGREES) == expected


def test_a_blind_sensor_is_not_calm() -> None:
    alarm = SensorAlarm(SETTINGS)
    for k in range(4):
        alarm.step(10.0 * k, HIGH, None)
    assert alarm.alarmed
    for k in range(4, 60):
        assert alarm.step(10.0 * k, LOW, None, is_blind=True) is None
    assert [alarm.step(600.0 + 10.0 * k, LOW, None) for k in range(13)][12] == ("clear", "model")


# --- the fixed rules --------------------------------------------------------------------------


def fired(
    temperature: list[float] | None = None, co: list[float] | None = None, period_s: float = 10.0
) -> tuple[float, str] | None:
    """When and which rule fires first, nan where a channel is missing."""
    rules = SafetyRules()
    count = len(temperature or co or [])
    for k in range(count):
        cause = rules.step(
            k * period_s, temperature[k] if temperature else math.nan, co[k] if co else math.nan
        )
        if cause is not None:
            return k * period_s, cause
    return None


def slope(kelvin_per_min: float, minutes: int = 3) -> list[float]:
    return [20.0] * 12 + [20.0 + kelvin_per_min * k / 6.0 for k in range(6 * minutes)]


def test_heat() -> None:
    warm = [20.0 + k * 0.5 for k in range(73)]  # 3 K a minute to 56 degC
    assert fired(warm + [56.9] * 60) is None
    time_s, cause = fired([*warm, 57.0, 57.0, 57.0]) or (0.0, "")
    assert (time_s, cause) == (730.0 + CONFIRM_S, "heat")
    assert fired([*warm, 60.0, 56.0, 60.0, 56.0]) is None  # must stand


@pytest.mark.parametrize("kelvin", [3.0, 8.0])
def test_slow_warming_is_no_rate_of_rise(kelvin: float) -> None:
    assert fired(slope(kelvin)) is None


def test_rate_of_rise() -> None:
    time_s, cause = fired(slope(9.0)) or (0.0, "")
    assert cause == "rate_of_rise"
    assert 120.0 + 60.0 <= time_s <= 120.0 + 90.0
    assert fired([20.0] * 12 + [30.0] + [20.0] * 12) is None  # one wrong reading
    assert fired([20.0] * 12 + [30.0] * 3) == (120.0 + CONFIRM_S, "rate_of_rise")  # a step stands
    assert fired([20.0] + [30.0] * 3) == (10.0 + CONFIRM_S, "rate_of_rise")  # of a young sensor


@pytest.mark.parametrize(
    ("ppm", "seconds"), [(49.0, None), (50.0, 4500.0), (100.0, 1500.0), (300.0, 120.0)]
)
def test_co_dose(ppm: float, seconds: float | None) -> None:
    expected = None if seconds is None else (seconds, "co_dose")
    assert fired(co=[ppm] * 600) == expected


def test_co_dose_starts_anew_after_clean_air() -> None:
    assert fired(co=([300.0] * 12 + [0.0]) * 5) is None


def test_missing_channels_fire_nothing() -> None:
    assert fired([math.nan] * 60, [math.nan] * 60) is None
    # carbon monoxide that is read now and then is held in between
    assert fired(co=[300.0, math.nan, math.nan] * 20) == (120.0, "co_dose")


def test_a_held_reading_completes_heat() -> None:
    rules = SafetyRules()
    assert rules.step(0.0, 80.0, math.nan, evidence=AGREES) is None
    assert rules.overdue() == (CONFIRM_S, "heat")
    rules.step(60.0, 20.0, math.nan)
    assert rules.overdue() is None


def test_of_a_bin_that_is_decided_on_again_the_last_reading_counts() -> None:
    rules = SafetyRules()
    for time_s, temperature_c in ((0.0, 20.0), (0.0, 30.0), (10.0, 30.0), (20.0, 30.0)):
        assert rules.step(time_s, temperature_c, math.nan) is None  # it has been 30 from the start


def test_a_rule_that_is_asked_again_in_the_same_bin_counts_it_once() -> None:
    rules = SafetyRules()
    for time_s, temperature_c in ((0.0, 20.0), (60.0, 20.0)):
        assert rules.step(time_s, temperature_c, math.nan) is None
    assert rules.step(60.0, 80.0, math.nan, evidence=AGREES) == "heat"  # a minute after the last


@pytest.mark.parametrize("seed", range(5))
def test_a_step_of_25_kelvin_is_seen_at_a_period_of_about_a_minute(seed: int) -> None:
    random = np.random.default_rng(seed)
    for _ in range(40):
        rules = SafetyRules()
        times = np.cumsum(60.0 + random.uniform(-0.5, 0.5, 12))
        said = [rules.step(float(t), 20.0 + 25.0 * (k >= 8), math.nan) for k, t in enumerate(times)]
        assert said.index("rate_of_rise") == 9  # the second reading that shows it


@pytest.mark.parametrize(("kelvin", "cause"), [(41.0, None), (42.0, "rate_of_rise")])
def test_the_rate_of_rise_is_taken_over_the_shortest_span(kelvin: float, cause: str | None) -> None:
    """At a period of five minutes 8.3 K a minute are 41.5 K."""
    rules = SafetyRules()
    said = [rules.step(300.0 * k, 10.0 + kelvin * (k >= 3), math.nan) for k in range(6)]
    assert said[4] == cause


@pytest.mark.parametrize(("kelvin", "cause"), [(8.2, None), (8.4, "rate_of_rise")])
def test_readings_a_minute_apart_are_the_shortest_span(kelvin: float, cause: str | None) -> None:
    rules = SafetyRules()
    said = [rules.step(60.0 * k, 20.0 + kelvin * (k >= 3), math.nan) for k in range(6)]
    assert said[:5] == [None] * 4 + [cause]


def test_no_claim_bridges_an_outage() -> None:
    rules = SafetyRules()
    rules.step(0.0, 80.0, 400.0, outage_s=180.0)
    assert rules.step(7200.0, 80.0, 400.0, outage_s=180.0) is None
    rules.step(7210.0, 20.0, math.nan, outage_s=180.0)
    assert rules.step(14_400.0, 50.0, math.nan, outage_s=180.0) is None
    assert rules.step(14_410.0, 50.0, math.nan, outage_s=180.0) is None


def test_the_fast_tier_waits_for_a_baseline_and_the_rules_do_not():
    alarm = SensorAlarm(AlarmSettings(fast_s=10.0, warm_s=60.0))
    said = [alarm.step(10.0 * k, HIGH, None) for k in range(8)]
    assert said[:6] == [None] * 6  # high from the first reading on
    assert said[6] == ("alarm", "model")  # the slow tier, at 60 s
    early = SensorAlarm(AlarmSettings(fast_s=10.0, warm_s=60.0, slow_s=600.0))
    said = [early.step(10.0 * k, HIGH, None) for k in range(8)]
    assert said == [None] * 7 + [("alarm", "model")]
    assert SensorAlarm(AlarmSettings(warm_s=60.0)).step(0.0, -9.0, "heat") == ("alarm", "heat")


def test_a_pause_as_long_as_is_allowed_is_no_outage() -> None:
    rules = SafetyRules()
    assert rules.step(0.0, 80.0, 300.0, outage_s=120.0) is None
    assert rules.step(120.0, math.nan, 300.0, outage_s=120.0) == "co_dose"
    assert rules.step(120.0, 80.0, math.nan, outage_s=120.0) == "heat"
    rules = SafetyRules()
    assert rules.step(0.0, 80.0, 300.0, outage_s=120.0) is None
    assert rules.step(120.1, math.nan, 300.0, outage_s=120.0) is None
    assert rules.step(120.1, 80.0, math.nan, outage_s=120.0) is None


def test_carbon_monoxide_under_every_dose_ends_all_of_them() -> None:
    """49 ppm in between: neither the 50 nor the 300 ppm that stood before go on."""
    assert fired(co=[300.0] * 11 + [49.0] + [300.0] * 12) is None
    assert fired(co=[50.0] * 449 + [49.9] + [50.0] * 449) is None
    # between two doses only the lower one goes on
    assert fired(co=[300.0] * 11 + [100.0] * 139) is None
    assert fired(co=[300.0] * 11 + [100.0] * 140) == (1500.0, "co_dose")


def test_a_stream_that_begins_at_any_time_waits_for_its_baseline() -> None:
    alarm = SensorAlarm(AlarmSettings(fast_s=10.0, warm_s=60.0, slow_s=600.0))
    said = [alarm.step(5000.0 + 10.0 * k, 7.0, None) for k in range(8)]
    assert said == [None] * 7 + [("alarm", "model")]
