"""`saafe plot`: pictures of recordings, runs and devices, as files and as text."""

import json
import os
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import matplotlib.image as plt_image
import numpy as np
import pytest
from click.testing import CliRunner

import saafe
from saafe import pictures
from saafe.cli import saafe as command
from saafe.cli.plot import asked_hours, kind_of
from saafe.detector import AlarmSettings, Scorer
from saafe.errors import InputError
from saafe.exam import plots
from saafe.pictures.curves import DRAWN_POINTS, curve_of, silence_s, thinned
from saafe.pictures.recording_picture import alarm_spans, known_times, label_spans
from saafe.pictures.terminal import is_upright
from saafe.recordings.recording import Recording
from saafe.sensors import CHANNEL_NAMES, FIRE, NUISANCE, PM25, TEMPERATURE
from saafe.simulator import devices

ROOT = Path(__file__).parents[1]
TIMES = np.arange(0.0, 1200.0, 10.0)


def smoky(windows: np.ndarray) -> np.ndarray:
    return np.where(windows[:, -1, 0, PM25] > 100.0, 99.99, 0.01)


MODEL = Scorer(smoky, AlarmSettings(warm_s=0.0, fast_s=20.0))


def recording(*, labelled: bool = True, name: str = "r") -> Recording:
    """Clean air, then smoke from 600 s on, on two sensors and two channels."""
    readings = np.full((len(TIMES), 2, 6), np.nan, np.float32)
    readings[:, :, TEMPERATURE] = 20.0
    readings[:, 0, PM25] = np.where(TIMES >= 600.0, 500.0, 5.0)
    labels = np.zeros((len(TIMES), 2), np.int8)
    labels[(TIMES >= 500) & (TIMES < 600), 1] = NUISANCE
    labels[TIMES >= 600, 0] = FIRE
    sources = tuple("curtain" if t >= 600 else ("frying" if t >= 500 else "") for t in TIMES)
    return Recording(name, TIMES, ("A", "B"), readings, labels if labelled else None,
                     sources if labelled else None)  # fmt: skip


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """A recording on disk, and what a simulation would say of it beside."""
    saafe.write_recording(recording(), tmp_path / "r.csv")
    row = {"file": "r.csv", "ignition_s": 590.0, "reference_alarms_s": {"photo": 700.0}}
    (tmp_path / "scenarios.json").write_text(json.dumps([row]))
    return tmp_path / "r.csv"


def marked(picture: pictures.Picture) -> set[float]:
    """Where the first panel has upright lines, in minutes."""
    found = {np.ravel(one.get_xdata())[0] for one in picture.figure.axes[0].get_lines()
             if is_upright(one)}  # fmt: skip
    return {round(float(x), 3) for x in found}


def test_a_recordings_picture_shows_channels_risk_alarms_and_what_is_known(written: Path) -> None:
    picture = pictures.picture_of_recording(written, recording(), MODEL)
    assert picture.panels == ("temperature", "pm25", "risk")
    assert picture.title == "r: 1 alarm"
    (alarm,) = [e for e in saafe.detect(MODEL, recording()).events if e["event"] == "alarm"]
    assert marked(picture) == {round(t / 60, 3) for t in (alarm["time_s"], 590.0, 700.0)}
    names = {text.get_text() for text in picture.figure.legends[0].get_texts()}
    assert {"A", "B", "labelled nuisance: frying", "labelled fire: curtain", "ignition",
            "photo alarm", "alarm of the model"} == names  # fmt: skip
    lines = picture.figure.axes[1].get_lines()  # of PM2.5, which B does not have
    assert np.asarray(lines[0].get_ydata()).max() == 500.0


@pytest.mark.parametrize(("channel", "value", "cause"), [
    (TEMPERATURE, 80.0, "fixed rule"), (CHANNEL_NAMES.index("co"), 400.0, "fixed rule"),
    (PM25, 500.0, "model"),
])  # fmt: skip
def test_an_alarm_is_named_by_what_raised_it(
    channel: int, value: float, cause: str, tmp_path: Path
) -> None:
    """A heat alarm was drawn as one of the model."""
    one = recording(labelled=False)
    one.readings[:, 0, PM25] = 5.0
    one.readings[TIMES >= 600.0, 0, channel] = value
    picture = pictures.picture_of_recording(tmp_path / "r.csv", one, MODEL)
    names = {text.get_text() for text in picture.figure.legends[0].get_texts()}
    assert {name for name in names if name.startswith("alarm of")} == {
        f"alarm of {'the' if cause == 'model' else 'a'} {cause}"
    }


def test_labels_and_alarms_are_spans() -> None:
    labelled = recording()
    assert label_spans(labelled, NUISANCE) == [(500.0, 600.0)]
    assert label_spans(labelled, FIRE) == [(600.0, 1190.0)]
    assert label_spans(recording(labelled=False), FIRE) == []
    found = saafe.detect(MODEL, labelled)
    ((start, end),) = alarm_spans(found, 1190.0)
    assert 600.0 < start < 700.0
    assert end == 1190.0, "an alarm that does not clear stands to the end"


def test_what_is_known_comes_from_the_files_beside(tmp_path: Path) -> None:
    file = tmp_path / "home.csv"
    saafe.write_recording(recording(labelled=False), file)
    assert known_times(file).times == {}
    published = {"home.csv": {"references": {"ignition_s": 5.0}, "stove": [[10, 20]]}}
    (tmp_path / "references.json").write_text(json.dumps({"recordings": published}))
    assert known_times(file).times == {"ignition": 5.0}
    assert known_times(file).cooking_s == ((10.0, 20.0),)
    (tmp_path / "references.json").unlink()
    one = {"file": "home.csv", "kind": "fire", "group": "g", "burning": "flaming",
           "ignition_s": 5, "limit_s": 60, "end_s": 90, "cooking_s": [[1, 2]]}  # fmt: skip
    whole = {"name": "n", "origin": "o", "licence": "l", "recordings": [one]}
    (tmp_path / "set.json").write_text(json.dumps(whole))
    assert known_times(file).times == {"ignition": 5.0, "limit": 60.0}
    assert known_times(file).cooking_s == ((1.0, 2.0),)


@pytest.mark.parametrize("text", ["", "[", "3", '{"a": 1}', '[{"file": 3}]', "[1, null]"])
def test_odd_files_beside_a_recording_are_passed_over(text: str, written: Path) -> None:
    (written.parent / "scenarios.json").write_text(text)
    assert known_times(written).times == {}


def test_thinning_keeps_ends_and_extremes() -> None:
    x = np.arange(100_000.0)
    y = np.sin(x / 1e4)
    y[12_345], y[67_890] = 9.0, -9.0  # lone spikes must stay
    thin_x, thin_y = thinned(x, y)
    assert len(thin_x) <= DRAWN_POINTS + 2
    assert (thin_x[0], thin_x[-1]) == (0.0, 99_999.0)
    assert (thin_y.max(), thin_y.min()) == (9.0, -9.0)
    assert (np.diff(thin_x) > 0).all()


def with_silence() -> Recording:
    """A sensor that says nothing between 400 and 800 s, but for one reading at 600 s."""
    whole = recording(labelled=False)
    silent = (TIMES > 400.0) & (TIMES < 800.0) & (TIMES != 600.0)
    readings = whole.readings[:, :1].copy()
    readings[silent] = np.nan
    readings[..., PM25] = np.nan
    return Recording("r", TIMES, ("A",), readings)


def test_no_line_is_drawn_across_a_silence(tmp_path: Path) -> None:
    picture = pictures.picture_of_recording(tmp_path / "r.csv", with_silence(), MODEL)
    for place in picture.figure.axes:
        line = place.get_lines()[0]
        x, y = np.asarray(line.get_xdata()) * 60.0, np.asarray(line.get_ydata())
        drawn = np.isfinite(y[:-1]) & np.isfinite(y[1:])
        assert np.diff(x)[drawn].max() <= 90.0, "no stretch is longer than a reading is held"
        assert np.isfinite(y).sum() >= 79, "every reading is a part of it"
    lone = [one for one in picture.figure.axes[0].get_lines() if one.get_marker() == "."]
    assert [np.asarray(one.get_xdata()).tolist() for one in lone] == [[10.0]], "600 s is seen"


def test_files_and_terminals_show_a_silence(tmp_path: Path) -> None:
    picture = pictures.picture_of_recording(tmp_path / "r.csv", with_silence(), MODEL)
    place = picture.figure.axes[0]
    pictures.save_picture(picture, tmp_path / "r.png")
    image = plt_image.imread(tmp_path / "r.png")[..., :3]
    ends = [place.transData.transform((minutes, 20.0)) for minutes in (7.5, 9.5, 1.0, 6.0)]
    scale = image.shape[1] / picture.figure.bbox.width
    start, end, first, last = (round(float(x) * scale) for x, _ in ends)
    row = image.shape[0] - round(float(ends[0][1]) * scale)
    band = image[row - 1 : row + 2].min(axis=(0, 2))
    assert band[first:last].max() < 0.8, "where readings came the line is dark"
    assert band[start:end].min() > 0.8, "in a silence nothing is"
    pictures.save_picture(picture, tmp_path / "r.svg")
    text = (tmp_path / "r.svg").read_text()
    paths = re.findall(r'<path d="(M [^"]*L[^"]*)"[^>]*clip-path', text)
    strokes = [path.count("M") for path in paths if path.count("L") > 50]
    assert strokes, "the curves are there"
    assert min(strokes) >= 2, "each breaks"
    lines = pictures.picture_lines(picture, width=100, ascii_only=True)
    inside = next(line for line in lines if re.match(r"\|\+\+", line))
    assert len(re.findall(r"\++", inside)) == 3, "a stroke, a point and a stroke"


def test_a_sensor_that_reports_on_change_is_not_silent_while_nothing_changes() -> None:
    drawn = np.random.default_rng(0)
    times = np.cumsum(drawn.uniform(10.0, 3600.0, 200))
    assert not np.isnan(curve_of(times, np.zeros(200)).y).any()
    times[100:] += 3 * 3600.0
    assert np.isnan(curve_of(times, np.zeros(200)).y).sum() == 1
    every_300 = np.arange(0.0, 30_000.0, 300.0)
    assert silence_s(every_300) == 900.0
    assert silence_s(every_300, 3600.0) == 5400.0, "as long as its device may pause"
    assert silence_s(np.array([5.0])) == 90.0


def test_thinning_keeps_a_lone_reading_between_silences() -> None:
    times = np.concatenate([np.arange(1e5), [1.5e5], 2e5 + np.arange(1e5)])
    curve = curve_of(times, np.zeros(len(times)))
    assert len(curve.x) <= DRAWN_POINTS + 8
    assert curve.x[curve.is_lone].tolist() == [1.5e5]
    assert {99_999.0, 200_000.0} <= set(curve.x)


def test_between_draws_a_part(written: Path) -> None:
    picture = pictures.picture_of_recording(written, recording(), MODEL, between_h=(0.1, 0.2))
    assert picture.figure.axes[0].get_xlim() == pytest.approx((6.0, 12.0))
    for odd in ((0.2, 0.1), (-1.0, 1.0), (5.0, 6.0), (float("nan"), 1.0)):
        with pytest.raises(InputError, match="two hours in order"):
            pictures.picture_of_recording(written, recording(), MODEL, between_h=odd)


def long_days(*, start: datetime | None = None) -> Recording:
    """Two days, a row every ten seconds, with a smoky hour first and a silence of a day between."""
    times = 10.0 * np.arange(2 * 8640) + np.where(np.arange(2 * 8640) >= 8640, 86400.0, 0.0)
    readings = np.full((len(times), 1, 6), np.nan, np.float32)
    readings[:, 0, TEMPERATURE] = 20.0 + np.arange(len(times)) % 7 / 10.0
    readings[:, 0, PM25] = np.where(times < 3600.0, 5000.0, 5.0)
    return Recording("days", times, ("A",), readings, start=start)


def test_a_part_has_all_its_detail_and_axes_of_its_own(tmp_path: Path) -> None:
    long = long_days()
    assert len(long.times_s) > 3 * DRAWN_POINTS
    drawn = pictures.picture_of_recording(tmp_path / "r.csv", long, MODEL, between_h=(5.0, 7.0))
    warm, dust, risk = drawn.figure.axes
    (line,) = [one for one in warm.get_lines() if not str(one.get_label()).startswith("_")]
    at = (long.times_s >= 5 * 3600.0 - 10.0) & (long.times_s <= 7 * 3600.0 + 10.0)
    assert np.asarray(line.get_xdata()) * 60.0 == pytest.approx(long.times_s[at])
    assert np.asarray(line.get_ydata()) == pytest.approx(long.readings[at, 0, TEMPERATURE])
    assert dust.get_ylim()[1] < 10.0
    whole = saafe.detect(MODEL, long)
    (line,) = [one for one in risk.get_lines() if not str(one.get_label()).startswith("_")]
    within = (whole.times_s >= 5 * 3600.0 - 10.0) & (whole.times_s <= 7 * 3600.0 + 10.0)
    assert np.asarray(line.get_ydata()) == pytest.approx(whole.risk[within])
    assert drawn.title == "days: 0 alarms in this part, 1 in all"
    first = pictures.picture_of_recording(tmp_path / "r.csv", long, MODEL, between_h=(0.0, 1.0))
    assert first.title == "days: 1 alarm in this part, 1 in all"


@pytest.mark.parametrize("start", [None, datetime(2026, 3, 1, 6, 0, tzinfo=UTC)])
@pytest.mark.parametrize(("between", "near_h"), [(("26", "28"), 22.0), (("44", "45"), 48.0)])
def test_a_silent_part_is_refused_and_the_nearest_one_is_named(
    start: datetime | None, between: tuple[str, str], near_h: float, tmp_path: Path
) -> None:
    path = tmp_path / "r.csv"
    saafe.write_recording(long_days(start=start), path)
    done = CliRunner().invoke(command, ["plot", str(path), "--between", *between])
    assert isinstance(done.exception, InputError)
    said = str(done.exception)
    assert f"has no reading from {between[0]} to {between[1]} h" in said
    near = said.partition("nearest part with readings: --between ")[2].split()
    assert asked_hours((near[0], near[1]), start)[0] == pytest.approx(near_h, abs=0.05)
    done = CliRunner().invoke(command, ["plot", str(path), "--between", *near])
    assert done.exit_code == 0, done.output


def test_clock_times_mean_a_day_that_has_readings_then() -> None:
    start = datetime(2026, 3, 1, 6, 0)
    spoken = long_days().times_s[5 * 360 :] / 3600.0  # from 11:00 on; none on the second day
    assert asked_hours(("07:00", "09:00"), start, spoken) == (49.0, 51.0)
    assert asked_hours(("10:30", "11:30"), start, spoken) == (4.5, 5.5)
    assert asked_hours(("23:00", "01:00"), start, spoken) == (17.0, 19.0)
    assert asked_hours(("23:00", "01:00"), start, spoken[spoken > 19.5]) == (65.0, 67.0)
    assert asked_hours(("07:00", "08:00"), start, ()) == (1.0, 2.0)


@pytest.mark.parametrize(
    ("between_h", "named"),
    [
        ((0.0, 0.1), {"A", "B"}),
        ((0.1, 0.16), {"A", "B", "labelled nuisance: frying"}),
        (
            (0.16, 0.19),
            {"A", "B", "labelled nuisance: frying", "labelled fire: curtain", "ignition",
             "alarm of the model"},
        ),
        ((0.19, 0.3), {"A", "B", "labelled fire: curtain", "photo alarm"}),
    ],
)  # fmt: skip
def test_the_legend_of_a_part_names_what_it_shows(
    between_h: tuple[float, float], named: set[str], written: Path
) -> None:
    figure = pictures.picture_of_recording(written, recording(), MODEL, between_h=between_h).figure
    assert {text.get_text() for text in figure.legends[0].get_texts()} == named


def test_nothing_to_draw_is_said(tmp_path: Path) -> None:
    empty = Recording("e", TIMES, ("A",), np.full((len(TIMES), 1, 6), np.nan, np.float32))
    with pytest.raises(InputError, match="no reading that could be drawn"):
        pictures.picture_of_recording(tmp_path / "e.csv", empty, MODEL)


# --- the command ------------------------------------------------------------------------------


@pytest.mark.parametrize(("suffix", "begins"), [(".png", b"\x89PNG"), (".svg", b"<?xml")])
def test_the_command_writes_a_picture(
    suffix: str, begins: bytes, written: Path, tmp_path: Path
) -> None:
    out = tmp_path / f"p{suffix}"
    done = CliRunner().invoke(command, ["plot", str(written), "--out", str(out), "--json"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told["file"] == str(out)
    assert told["kind"] == "recording"
    assert told["panels"] == ["temperature", "pm25", "risk"]
    assert out.read_bytes().startswith(begins)


def test_alarms_are_those_of_the_devices_thresholds(tmp_path: Path) -> None:
    (made,) = saafe.simulate(1, seed=1, sensors=1, sources=["smoking_pan"], device="saafe-4")
    file = tmp_path / "f.csv"  # an alarm by one and none by the other, with the packaged model
    saafe.write_recording(made, file)
    counts = set()
    for words, device in (([], None), (["--device", "saafe-4"], "saafe-4")):
        done = CliRunner().invoke(command, ["plot", str(file), "--json", *words])
        assert done.exit_code == 0, done.output
        events = saafe.detect(saafe.load(device=device), saafe.read_recording(file)[0]).events
        alarms = sum(event["event"] == "alarm" for event in events)
        title = json.loads(done.stdout)["title"]
        assert f": {alarms} alarm" in title
        assert title.endswith("thresholds for saafe-4") == (device is not None)
        counts.add(alarms)
    assert len(counts) == 2, "the device's thresholds decide"


@pytest.mark.parametrize(("columns", "encoding"), [("80", "utf-8"), ("40", "ascii")])
def test_the_terminals_picture_fits(columns: str, encoding: str, written: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "saafe", "plot", str(written)], capture_output=True, cwd=ROOT,
        env={**os.environ, "COLUMNS": columns, "PYTHONIOENCODING": encoding}, check=True,
    )  # fmt: skip
    text = done.stdout.decode(encoding)
    assert "\x1b" not in text, "no colors where nobody watches"
    assert max(map(len, text.splitlines())) <= int(columns)
    assert all(name in text for name in ("temperature [degC]", "pm25 [ug/m3]", "risk [%]"))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["{r}", "--out", "p.gif"], ".png or .svg"),
        (["{r}", "--out", "nowhere/p.png"], "there is no folder nowhere"),
        (["{r}", "--model", "nowhere"], "no such run folder"),
        (["{r}", "--between", "9", "10"], "two hours in order"),
        (["{r}", "--between", "9", "10"], "minutes are written 30min"),
        (["{r}", "--between", "soon", "10"], "soon is none of them"),
        (["{r}", "--between", "1.2.3", "10"], "1.2.3 is none of them"),
        (["{r}", "--between", "07:30", "08:30"], "no clock times; write hours"),
        (["absent.csv"], "no such file"),
        (["saafe-7"], "no such recording, run folder or device; did you mean saafe-6"),
        (["nope"], "no such recording, run folder or device; `saafe devices list` names"),
        (["runs/absent"], "no such file and no such run"),
        (["."], "is a folder, but no run"),
        (["saafe-6", "--model", "x"], "is no recording"),
        (["saafe-6", "--device", "saafe-4"], "is no recording"),
        (["{r}", "--device", "saafe-7"], "did you mean saafe-6"),
        (["absent.toml"], "no such device file"),
    ],
)
def test_what_is_wrong_is_one_line(
    words: list[str], said: str, written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    words = [word.format(r=written) for word in words]
    done = CliRunner().invoke(command, ["plot", *words])
    assert isinstance(done.exception, InputError), done.output
    assert said in str(done.exception)
    assert "\n" not in str(done.exception)
    assert list((tmp_path / "empty").iterdir()) == []


def test_a_part_beyond_a_recording_with_dates_is_told_its_clock_times(tmp_path: Path) -> None:
    path = tmp_path / "dated.csv"
    rows = [f"2026-10-24T{18 + k // 60}:{k % 60:02},20" for k in range(120)]
    path.write_text("\n".join(["time,temperature_c", *rows]))
    done = CliRunner().invoke(command, ["plot", str(path), "--between", "20:30", "21:30"])
    assert "(2026-10-24 18:00 to 2026-10-24 19:59)" in str(done.exception)


def test_words_are_told_apart(written: Path, tmp_path: Path) -> None:
    assert kind_of(str(written)) == "recording"
    assert kind_of("saafe-6") == "device"
    assert kind_of("mine.toml") == "device"
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "metrics.jsonl").write_text("")
    assert kind_of(str(tmp_path / "run")) == "run"


# --- runs and devices -------------------------------------------------------------------------

EPOCHS = [{"epoch": k, "loss": 1 / k, "held_out_loss": 2 / k, "accuracy": 0.1 * k}
          for k in (1, 2, 3)]  # fmt: skip
LINES = [{"name": "accuracy", "value": 0.8, "lower": 0.7, "upper": 0.9, "limit": 0.94, "n": 9,
          "status": "fail"}]  # fmt: skip
EXAM = {
    "gate": {"level": "full", "device": "saafe-6", "passed": False, "lines": LINES},
    "fires": [{"fire": "curtain", "after_shown_median_s": 60.0, "after_shown_p90_s": 90.0}],
    "calibration": {"in_distribution": {"table": [{"predicted": 0.1, "observed": 0.2, "n": 9}]}},
    "rivals": {
        "curves": {"transformer": [
            {"false_alarms_per_year": 1.0, "in_time_share": 0.5},
            {"false_alarms_per_year": 10.0, "in_time_share": 0.9},
        ]},
        "rows": [{"name": "transformer", "own_false_alarms_per_year": 5.0, "own_in_time": 7,
                  "fires": 10}],
    },
}  # fmt: skip
CURVE, DELAYS = "fires in time against false alarms a year", "time to alarm: median (dot) to 90 %"
CALIBRATION, GATE = "calibration: risk predicted, fires observed", (
    "gate: value and 95 % bounds over the limit")  # fmt: skip


@pytest.mark.parametrize(
    ("exam", "panels"),
    [
        (None, ["training"]),
        (EXAM, ["training", CURVE, DELAYS, CALIBRATION, GATE]),
        ({"gate": EXAM["gate"]}, ["training", GATE]),  # a quick exam's
        ({}, ["training"]),
    ],
)
def test_a_runs_picture_shows_what_is_there(
    exam: dict | None, panels: list[str], tmp_path: Path
) -> None:
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in EPOCHS))
    if exam is not None:
        (tmp_path / "exam.json").write_text(json.dumps(exam))
    picture = pictures.picture_of_run(tmp_path)
    assert list(picture.panels) == panels
    pictures.save_picture(picture, tmp_path / "run.svg")
    assert b"held-out scenarios" in (tmp_path / "run.svg").read_bytes()
    text = "\n".join(pictures.picture_lines(picture, width=80))
    assert ("curtain: 60" in text) == (DELAYS in panels)
    assert ("accuracy: 0.8511" in text) == (GATE in panels)


def test_paths_may_be_text(written: Path, tmp_path: Path) -> None:
    """As a notebook gives them; they ended in an AttributeError."""
    picture = pictures.picture_of_recording(str(written), recording(), MODEL)
    assert picture.panels == pictures.picture_of_recording(written, recording(), MODEL).panels
    pictures.save_picture(picture, str(tmp_path / "kitchen.png"))
    assert (tmp_path / "kitchen.png").stat().st_size > 1000
    with pytest.raises(saafe.InputError, match=r"ends in \.png or \.svg"):
        pictures.save_picture(picture, "kitchen.pdf")
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in EPOCHS))
    assert pictures.is_run_folder(str(tmp_path))
    assert pictures.picture_of_run(str(tmp_path)).panels == ("training",)


@pytest.mark.parametrize("epochs", [1, 2, 3, 7, 32])
def test_epochs_are_whole_numbers(epochs: int, tmp_path: Path) -> None:
    """Three epochs had ticks at 1.25."""
    rows = [EPOCHS[0] | {"epoch": k + 1} for k in range(epochs)]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for place in pictures.picture_of_run(tmp_path).figure.axes[:2]:
        assert all(float(tick).is_integer() for tick in place.get_xticks())


@pytest.mark.parametrize("absent", ["loss", "held_out_loss", "accuracy"])
def test_a_series_without_a_value_stands_in_no_panel_and_no_legend(
    absent: str, tmp_path: Path
) -> None:
    rows = [row | {absent: None} for row in EPOCHS]  # a tuning's: held_out_loss
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "exam.json").write_text(json.dumps(EXAM))  # without reference alarms
    for words in ([], ["--out", str(tmp_path / "p.png")]):
        done = CliRunner().invoke(command, ["plot", str(tmp_path), *words])
        assert done.exit_code == 0, done.output
    axes = pictures.picture_of_run(tmp_path).figure.axes
    named = [
        [text.get_text() for text in legend.get_texts()] if (legend := place.get_legend()) else []
        for place in axes[:3]
    ]
    loss = {"loss": ["held-out scenarios"], "held_out_loss": ["training windows"]}
    usual = ["training windows", "held-out scenarios"]
    assert named == [loss.get(absent, usual), [], ["transformer"]]


def test_the_legend_names_what_is_drawn_alone(tmp_path: Path) -> None:
    quiet = recording(labelled=False)
    readings = quiet.readings.copy()
    readings[:, 1, TEMPERATURE] = np.nan  # B has particles alone, and nothing alarms
    readings[:, :, PM25] = [np.nan, 5.0]
    quiet = Recording("r", TIMES, ("A", "B"), readings)
    figure = pictures.picture_of_recording(tmp_path / "r.csv", quiet, MODEL).figure
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["A", "B"]


@pytest.mark.parametrize(
    ("name", "text"),
    [("metrics.jsonl", "{}"), ("metrics.jsonl", "x"), ("exam.json", "x"), ("exam.json", "[]")],
)
def test_a_damaged_run_is_one_line(name: str, text: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=name):
        pictures.picture_of_run(tmp_path)


def test_an_empty_run_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "recipe.json").write_text("{}")
    with pytest.raises(InputError, match="holds neither"):
        pictures.picture_of_run(tmp_path)


def test_what_a_meter_shows_stands_in_view_where_the_truth_leaves_the_picture() -> None:
    made = devices.load_device("plantower-pms5003")
    figure = pictures.picture_of_device(made).figure
    fire = figure.axes[1]
    low, high = fire.get_ylim()
    assert -100.0 <= low <= 0.0, "nothing is shown below: the truth's margin is no reason"
    assert 0.0 < high <= 1.5 * made.channels["pm25"].clip


def test_a_devices_picture_shows_step_fire_and_cooking() -> None:
    made = devices.load_device("saafe-4")
    picture = pictures.picture_of_device(made)
    assert len(picture.panels) == 3 * len(made.channels)
    assert len(picture.figure.axes) == len(picture.panels)
    first = picture.figure.axes[0]  # the step of temperature
    truth, shown = (np.asarray(line.get_ydata()) for line in first.get_lines()[:2])
    assert (truth.min(), truth.max()) == (21.0, 41.0)
    # a first-order answer: 63 % of the step after the response time, to a step of 10 s
    at = int((300.0 + made.channels["temperature"].response_s) / 10.0)
    share = (shown[at] - shown[0]) / (shown[140] - shown[0])
    assert share == pytest.approx(1.0 - np.exp(-1.0), abs=0.05)
    text = "\n".join(pictures.picture_lines(picture, width=80))
    assert "step: temperature" in text
    assert "frying: pm25" in text


@pytest.mark.parametrize("sensors", [1, 6, 7, 13, 64])
@pytest.mark.parametrize("ascii_only", [True, False])
def test_a_terminal_shows_any_number_of_sensors(sensors: int, ascii_only: bool) -> None:
    readings = np.full((len(TIMES), sensors, 6), np.nan, np.float32)
    readings[:, :, TEMPERATURE] = 20.0 + np.arange(sensors)
    many = Recording("many", TIMES, tuple(f"S{k}" for k in range(sensors)), readings)
    picture = pictures.picture_of_recording(Path("many.csv"), many, MODEL)
    text = "\n".join(pictures.picture_lines(picture, width=80, ascii_only=ascii_only))
    assert "temperature" in text
    assert text.isascii() == ascii_only


@pytest.mark.parametrize("ascii_only", [True, False])
@pytest.mark.parametrize("width", [40, 80])
def test_a_terminal_names_curves_units_and_marks(
    width: int, ascii_only: bool, written: Path
) -> None:
    picture = pictures.picture_of_recording(written, recording(), MODEL)
    lines = pictures.picture_lines(picture, width=width, ascii_only=ascii_only)
    assert max(map(len, lines)) <= width
    assert sum(line.endswith("time [min]") for line in lines) == len(picture.panels)
    top = " ".join(lines[: lines.index("")])
    assert "time [min]: 1 ignition at 9.833; 2 alarm of the model at" in top
    assert "3 photo alarm at 11.67" in top
    frames = [line for line in lines if re.fullmatch(r"[┌+].*1.*[┐+]", line)]
    assert len(frames) == len(picture.panels), "numbers stand above each panel"
    assert all(re.sub(r"\D", "", line) == "123" for line in frames)
    at = frames[0].index("1") - 1
    assert abs(at / (width - 16) - 590.0 / 1190.0) < 0.05
    titles = {line.split()[0]: line for line in lines if "]   " in line}
    assert titles["temperature"].endswith("+ A   x B")
    assert titles["pm25"].endswith("A"), "B has none"
    panel = lines[lines.index(titles["temperature"]) + 1 :][:9]
    assert any("x" in line for line in panel), "curves that overlap are told apart by signs"


def test_a_terminal_names_what_a_run_and_a_device_show(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in EPOCHS))
    (tmp_path / "exam.json").write_text(json.dumps(EXAM))
    for picture, said in (
        (pictures.picture_of_run(tmp_path), (
            "loss   + training windows   x held-out scenarios", "epoch", "curtain: 60",
            "transformer", "o ideal", "after shown [s]")),
        (pictures.picture_of_device("saafe-4"), (
            "step: temperature [degC]   + truth   x shown", "frying: pm25 [ug/m3]",
            "flaming_foam: sound [dB]", "1 fire or cooking begins at 5", "time [min]")),
    ):  # fmt: skip
        for width in (40, 80):
            lines = pictures.picture_lines(picture, width=width)
            assert max(map(len, lines)) <= width
            text = " ".join(" ".join(lines).split())
            assert all(" ".join(words.split()) in text for words in said), text


@pytest.mark.parametrize(
    ("words", "hours"),
    [
        (("10", "12"), (10.0, 12.0)),
        (("90min", "2h"), (1.5, 2.0)),
        (("36 s", "1d"), (0.01, 24.0)),
        (("07:30", "9:00"), (1.5, 3.0)),
        (("7:30:36", "08:00"), (1.51, 2.0)),
        (("05:00", "04:00"), (23.0, 46.0)),  # the first after the first row, and after that
        (("30", "07:00"), (30.0, 49.0)),
        (("2026-03-01T07:30", "2026-03-02"), (1.5, 18.0)),
        (("2026-03-01T06:30Z", "2026-03-01T07:30:00+00:00"), (1.5, 2.5)),
    ],
)
def test_a_part_is_named_by_hours_other_units_and_clocks(
    words: tuple[str, str], hours: tuple[float, float]
) -> None:
    start = datetime(2026, 3, 1, 6, 0, tzinfo=timezone(timedelta(hours=1)))
    assert asked_hours(words, start) == pytest.approx(hours)
    if "Z" not in words[0]:
        assert asked_hours(words, start.replace(tzinfo=None)) == pytest.approx(hours)


@pytest.mark.parametrize(
    "words",
    [["--between", "6min", "12min"], ["--between", "6min..12min"], ["--between=6min..12min"],
     ["--between", "0.1..0.2"]],
)  # fmt: skip
def test_a_part_may_be_one_word(words: list[str], written: Path) -> None:
    done = CliRunner().invoke(command, ["plot", str(written), *words])
    assert done.exit_code == 0, done.output
    whole = CliRunner().invoke(command, ["plot", str(written), "--between", "0.1", "0.2"])
    assert done.stdout == whole.stdout


ODD_NAME = r"$\frac{a$ b_$^"


@pytest.mark.parametrize("suffix", ["svg", "png"])
def test_names_are_no_formulae(suffix: str, tmp_path: Path) -> None:
    odd = recording(name=ODD_NAME)
    odd = Recording(ODD_NAME, odd.times_s, (ODD_NAME, "B"), odd.readings, odd.labels,
                    tuple(ODD_NAME if one else "" for one in odd.sources or ()))  # fmt: skip
    file = tmp_path / f"a.{suffix}"
    pictures.save_picture(pictures.picture_of_recording(tmp_path / "r.csv", odd, MODEL), file)
    assert suffix == "png" or file.read_text().count(ODD_NAME) >= 2


def test_numbers_beside_a_logarithmic_axis_are_numbers() -> None:
    points = [{"name": "photo", "false_alarms_per_year": 400.0, "in_time_share": 0.5}]
    line = {"name": "a", "limit": 1.0, "lower": 0.01, "value": 0.2, "upper": 30.0}
    curves = plots.draw_curves({"reference_alarms": points, "curves": {}, "rows": []})
    for drawn in (curves, plots.draw_gate([line])):
        assert b"mathdefault" not in drawn


@pytest.mark.parametrize("begin", ["1" + "0" * 19, "9" * 19 + "d", "1" + "0" * 30, "9" * 400])
def test_a_clock_time_after_any_number_is_answered_at_once(begin: str) -> None:
    start = datetime(2026, 3, 1, 23, 30)
    try:
        hours = asked_hours((begin, "08:00"), start)
    except InputError:
        return  # too long a number
    assert hours[0] <= hours[1] <= hours[0] * 1.01
