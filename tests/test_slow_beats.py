"""Sensors that pause for hours while nothing changes: told, they are read and watched all along."""

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from saafe.cli import saafe as commands
from saafe.detector import AlarmSettings, Drill, Live, Scorer, detect, load_exported
from saafe.detector.exported import PACKAGED_MODEL
from saafe.detector.silences import silence_notes
from saafe.errors import InputError
from saafe.exam.judging import read_all
from saafe.loading import without_torch
from saafe.readers import read_recorded
from saafe.recordings import Recording, Rise, RowReader, read_recording
from saafe.sensors import CHANNELS
from saafe.simulator import devices

BEAT_S = 4 * 3600.0
CALM = Scorer(lambda windows: np.zeros(len(windows)), AlarmSettings())
ON_CHANGE = [
    name
    for name in devices.device_names()
    if any(one.reporting.mode == "on change" for one in devices.load_device(name).channels.values())
]


def beats(path: Path, beat_s: float = BEAT_S, count: int = 7) -> Path:
    """A recording of heartbeats alone, as a hub's log holds them."""
    rows = "".join(f"{beat_s * k:g},{20 + k % 2}\n" for k in range(count))
    path.write_text(f"time_s,temperature_c\n{rows}")
    return path


def detected(*words: object) -> tuple[str, str, int]:
    done = CliRunner().invoke(commands, ["detect", *map(str, words)])
    return done.stdout, done.stderr, done.exit_code


# --- files


@pytest.mark.parametrize("beat_s", [3_700.0, BEAT_S, 12 * 3600.0, 86_400.0])
def test_beats_hours_apart_are_read_and_watched_where_told(tmp_path: Path, beat_s: float) -> None:
    """They were taken for milliseconds, and refused, whatever was told."""
    path = beats(tmp_path / "hall.csv", beat_s)
    said, notes, code = detected(path, "--longest-interval", beat_s)
    assert (said, code) == ("", 0)
    assert "holds a reading" not in notes
    assert "silent for" not in notes
    recording, check = read_recording(path, longest_interval_s=beat_s)
    assert (len(recording.times_s), check.period_s) == (7, beat_s)
    assert len(read_recorded(path, {}, longest_interval_s=beat_s)[0].times_s) == 7
    assert len(read_all([path], print, AlarmSettings(longest_interval_s=beat_s))) == 1
    said, notes, code = detected(path, "--longest-interval", beat_s, "--out", tmp_path / "events")
    assert (code, (tmp_path / "events" / "hall.csv.jsonl").read_text()) == (0, "")


@pytest.mark.parametrize("name", ON_CHANGE)
def test_what_a_device_declares_is_read_and_watched(name: str, tmp_path: Path) -> None:
    pause_s = devices.load_device(name).longest_interval_s
    recording, _ = read_recording(beats(tmp_path / "a.csv", pause_s), longest_interval_s=pause_s)
    assert detect(CALM, recording, longest_interval_s=pause_s).events == []


def test_the_refusal_says_how_to_tell(tmp_path: Path) -> None:
    path = beats(tmp_path / "hall.csv")
    with pytest.raises(InputError) as refused:
        read_recorded(path)
    assert "where it pauses so long: saafe detect --longest-interval 14400" in str(refused.value)
    assert "milliseconds" not in str(refused.value)
    with pytest.raises(InputError) as refused:  # no pause of a healthy sensor
        read_recording(beats(tmp_path / "far.csv", 100_000.0), longest_interval_s=BEAT_S)
    assert "longest-interval" not in str(refused.value)


# --- silences again and again


def test_a_sensor_that_is_silent_again_and_again_is_noted(tmp_path: Path) -> None:
    """Told an hour it is watched for 90 minutes of four hours; nothing said how little that is."""
    path = beats(tmp_path / "hall.csv")
    said, notes, _ = detected(path, "--longest-interval", 3_601)
    assert said.count('"fault"') == said.count('"restored"') == 6
    assert (
        "note: sensor A: silent for 15.0 of 24.0 h, in which nothing is known of its air, and back "
        "6 times; where such pauses are healthy: --longest-interval 14400\n"
    ) in notes
    live_notes: list[str] = []
    live = Live(CALM, RowReader(), longest_interval_s=3_600.0, note=live_notes.append)
    for line in path.read_text().splitlines():
        live.line(line, 0.0)
    (note,) = [note for note in live_notes if "silent for" in note]
    assert note.startswith("sensor A: silent for 7.5 of 12.0 h")
    assert note.endswith("back 3 times; where such pauses are healthy: longest_interval_s=14400")


@pytest.mark.parametrize(("count", "beat_s", "noted"), [(3, BEAT_S, 0), (4, BEAT_S, 1),
                                                       (7, 100_000.0, 1)])  # fmt: skip
def test_an_accident_or_two_are_not_noted(
    tmp_path: Path, count: int, beat_s: float, noted: int
) -> None:
    times = beat_s * np.arange(count)
    text = "".join(f"{t},20\n{t + 60},20\n{t + 120},20\n{t + 180},20\n" for t in times)
    path = tmp_path / "a.csv"
    path.write_text(f"time_s,temperature_c\n{text}")
    recording, _ = read_recording(path)
    events = detect(CALM, recording, longest_interval_s=60.0).events
    notes = silence_notes(events, recording)
    assert len(notes) == noted
    assert all(("longest_interval_s=" in note) == (beat_s < 86_400.0) for note in notes)


def test_pauses_of_what_reports_regularly_are_not_called_healthy() -> None:
    """Of a sensor that spoke every 20 s: healthy, with --longest-interval 20220."""
    times = 20.0 * np.arange(2000) + 20_220.0 * (np.arange(2000) // 400)
    readings = np.full((2000, 1, len(CHANNELS)), np.nan, np.float32)
    readings[:, 0, 0] = 20.0 + np.arange(2000) % 5 / 10.0
    recording = Recording("r", times, ("A",), readings)
    (note,) = silence_notes(detect(CALM, recording).events, recording)
    assert note.endswith("back 4 times")
    live_notes: list[str] = []
    live = Live(CALM, RowReader(), note=live_notes.append)
    live.line("time_s,temperature_c", 0.0)
    for time_s, value in zip(times, readings[:, 0, 0], strict=True):
        live.line(f"{time_s},{value:.1f}", 0.0)
    (note,) = [note for note in live_notes if "silent for" in note]
    assert note.endswith("back 3 times")


# --- streams


@pytest.mark.parametrize(("told_s", "noted"), [(None, 1), (3_600.0, 1), (BEAT_S, 0)])
def test_no_milliseconds_are_suspected_of_a_sensor_told_to_pause(
    tmp_path: Path, told_s: float | None, noted: int
) -> None:
    notes: list[str] = []
    live = Live(CALM, RowReader(), longest_interval_s=told_s, note=notes.append)
    for line in beats(tmp_path / "hall.csv").read_text().splitlines():
        live.line(line, 0.0)
    assert sum("milliseconds" in note for note in notes) == noted
    assert all("longest_interval_s=14400" in n for n in notes if "milliseconds" in n)


def test_a_drill_is_told_too() -> None:
    """Its detector said silent of a sensor that was told to pause."""
    rise = Rise(np.array([0.0, 600.0]), np.zeros((2, len(CHANNELS))))
    drill = Drill(CALM, "trial", rise, BEAT_S)
    live = Live(CALM, RowReader(), longest_interval_s=BEAT_S, drill=drill)
    live.line("time_s,sensor,temperature_c", 0.0)
    live.line("0,A,20", 0.0)
    assert [event["event"] for event in live.tick(5 * 3600.0)] == ["drill"]


# --- what is said of devices


@pytest.mark.parametrize("name", devices.device_names())
def test_show_says_how_much_of_the_time_is_watched(name: str, tmp_path: Path) -> None:
    """In comments, so that what it prints is a device file still."""
    text = CliRunner().invoke(commands, ["devices", "show", name]).stdout
    device = devices.load_device(name)
    (tmp_path / "mine.toml").write_text(text)
    assert devices.load_device(str(tmp_path / "mine.toml")).channels == device.channels
    comments = " ".join(line[2:] for line in text.splitlines() if line.startswith("# "))
    assert bool(comments) == (name in ON_CHANGE)
    if comments:
        assert f"--longest-interval {device.longest_interval_s:g}, watches all the time" in comments
    assert ("watches 38% of a pause" in comments) == (name == "heiman-co-alarm")


def test_a_similar_device_that_beats_more_often_comes_with_the_pause() -> None:
    """Without torch its thresholds stand in; its longest interval must not."""
    model = load_exported(PACKAGED_MODEL)
    slow = devices.load_device("heiman-co-alarm")
    assert " and longest_interval_s=14400, or " in str(without_torch(model, slow, slow.name))
    quick = devices.load_device("netatmo-indoor")
    near = str(without_torch(model, quick, quick.name)).partition('device="')[2].partition('"')[0]
    told = devices.load_device(near).longest_interval_s < quick.longest_interval_s
    assert ("longest_interval_s" in str(without_torch(model, quick, quick.name))) == told
