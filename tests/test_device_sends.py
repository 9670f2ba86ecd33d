"""What a device's file says of its readings: values in their place, and units; on every path."""

import json
import math
import re
import shlex
import subprocess
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from export_fixtures import SMALL, small_run

from saafe.cli import saafe as command
from saafe.detector import AlarmSettings, Detector, Live, Scorer, detect, load_exported
from saafe.errors import InputError
from saafe.export import onnx_files
from saafe.loading import load_model
from saafe.machines.shipping import pack_model, unpack_model
from saafe.own_rooms import read_rooms
from saafe.readers import read_recorded
from saafe.recordings import (
    CHANNEL_UNITS,
    Recording,
    RowReader,
    find_unit,
    held_sentinels,
    parse_units,
    read_recording,
    usual_units,
    write_recording,
)  # fmt: skip
from saafe.recordings.cells import to_reading
from saafe.sensors import CHANNEL_NAMES, CHANNELS, CO, TEMPERATURE, Channel
from saafe.serving.fleet import Arrival, Fleet
from saafe.serving.payloads import read_payload
from saafe.simulator import Mix, devices, simulation, to_recordings
from saafe.training import runs
from saafe.training.data import for_device

SETTINGS = AlarmSettings(fast=2.0, slow=1.0, steady=0.0, warn=-0.5, leave=-1.0, warm_s=0.0)
MINE = """
title = "Box"
kind = "product"
source = "its data sheet"

[channels.temperature]
lowest = -10
highest = 60
step = 0.1
noise = 0.1
response_s = 100
unit = "degF"
sentinels = [212]

[channels.co]
lowest = 0
highest = 1000
step = 1
noise = 1
response_s = 30
sentinels = [500, -1]
"""


@pytest.fixture
def mine(tmp_path: Path) -> str:
    (tmp_path / "mine.toml").write_text(MINE)
    return str(tmp_path / "mine.toml")


def is_odd(windows: np.ndarray) -> np.ndarray:
    """Risk that looks at all of a window, and rises and falls with what is held."""
    known = ~np.isnan(windows[:, :, 0])
    level = np.where(known, windows[:, :, 0], 0.0)
    sums = level[:, -20:].sum(axis=(1, 2)) - level[:, :20].sum(axis=(1, 2)) + known.sum(axis=(1, 2))
    return 50.0 + 49.0 * np.sin(sums.astype(np.float64))


def with_codes(name: str) -> devices.Device:
    """A device of the catalogue that also sends a value of its own, amid its range."""
    device = devices.load_device(name)
    rows = {
        channel: replace(row, sentinels=(*row.sentinels, middle_of(row)))
        for channel, row in device.channels.items()
    }
    return replace(device, channels=rows)


def middle_of(row: devices.DeviceChannel) -> float:
    """A value that the channel's steps do not reach."""
    low, high = max(row.lowest, 110.0), max(min(row.clip, 900.0), 120.0)
    return round((low + high) / 2.0) + 0.125 if row.clip > 150.0 else row.clip - 1.0 - 0.125


def codes_of(channel: str, row: devices.DeviceChannel) -> list[float]:
    """A channel's sentinels in its own unit."""
    unit = find_unit(channel, row.unit)
    return [unit.apply(value) if unit else value for value in row.sentinels]


@cache
def sent_by(name: str) -> tuple[devices.Device, Recording]:
    """A device that sends values of its own, and hours of one, codes on any and on all channels."""
    device = with_codes(name)
    generator = torch.Generator().manual_seed(11)
    mix = Mix(0.0, device=device, nuisance_counts=(0.0, 1.0, 0.0), balance=1.0, fault_share=0.0)
    hours = min(12.0, max(2.0, 4.0 * device.longest_interval_s / 3600.0))
    (recording,) = to_recordings(
        simulation.simulate_streams(1, generator=generator, hours=hours, sensors=1, mix=mix)
    )
    readings, random = recording.readings.copy(), np.random.default_rng(3)
    heard = np.isfinite(readings[:, 0])
    for channel, row in device.channels.items():
        index = CHANNEL_NAMES.index(channel)
        codes = codes_of(channel, row)
        for at in np.flatnonzero(heard[:, index]):
            if random.random() < 0.1:
                readings[at, 0, index] = random.choice(codes)
    rows = np.flatnonzero(heard.any(axis=1))
    middle, several = len(rows) // 2, 3 if len(rows) > 9 else 1
    for at in rows[middle : middle + several]:  # not ready: all of them
        for channel, row in device.channels.items():
            index = CHANNEL_NAMES.index(channel)
            if heard[at, index]:
                readings[at, 0, index] = codes_of(channel, row)[-1]
    return device, replace(recording, readings=readings)


def written(recording: Recording, folder: Path) -> Path:
    """The recording as a file of all its digits; `write_recording` rounds."""
    lines = ["time_s," + ",".join(channel.column for channel in CHANNELS)]
    for time_s, row in zip(recording.times_s, recording.readings[:, 0], strict=True):
        if np.isfinite(row).any():
            cells = ("" if math.isnan(value) else repr(float(value)) for value in row)
            lines.append(f"{time_s:g},{','.join(cells)}")
    (folder / "sent.csv").write_text("\n".join(lines) + "\n")
    return folder / "sent.csv"


def lived(model: Scorer, path: Path) -> list[dict]:
    """The events of a file's lines as a stream."""
    live, events = Live(model, RowReader(sentinels=model.settings.sentinels)), []
    for k, line in enumerate(path.read_text().splitlines()):
        events += live.line(line, 1e-3 * k)
    return events + live.close()


def knowing(device: devices.Device) -> Scorer:
    told = replace(
        SETTINGS, longest_interval_s=device.longest_interval_s, **devices.sends_of(device)
    )
    return Scorer(is_odd, told)


# --- every device of the catalogue ------------------------------------------------------------


@pytest.mark.parametrize("name", devices.device_names())
def test_a_files_events_are_a_streams_whatever_stands_for_no_value(
    name: str, tmp_path: Path
) -> None:
    device, recording = sent_by(name)
    model, path = knowing(device), written(recording, tmp_path)
    read, check = read_recording(
        path, longest_interval_s=device.longest_interval_s, sentinels=model.settings.sentinels
    )
    assert any(
        "for no value" in cause for one in check.channels.values() for cause in one.wrong_values
    )
    batch = detect(model, read).events
    assert batch == lived(model, path)
    assert any("for no value" in event.get("reason", "") for event in batch)
    for channel, row in device.channels.items():
        values = read.readings[..., CHANNEL_NAMES.index(channel)]
        assert not np.isin(values, np.array(codes_of(channel, row), np.float32)).any()


@pytest.mark.parametrize("name", devices.device_names())
def test_a_detector_needs_no_reader_to_know_its_device(name: str) -> None:
    device, recording = sent_by(name)
    readings = recording.readings.copy()
    for index, channel in enumerate(CHANNELS):  # reading masks what every detector knows
        codes = np.array([value for value, _ in channel.wrong_values], np.float32)
        readings[np.isin(readings[..., index], codes), index] = np.nan
    model, said = knowing(device), []
    detector = Detector(model)
    for time_s, row in zip(recording.times_s, readings[:, 0], strict=True):
        is_heard = np.isfinite(row).any()
        said += detector.update(time_s, "A", row) if is_heard else detector.tick(time_s)
    said += detector.finish()
    assert said == detect(model, replace(recording, readings=readings, sensors=("A",))).events
    assert any("device's" in event.get("reason", "") for event in said)


@pytest.mark.parametrize("name", devices.device_names())
def test_what_a_device_sends_is_said_once(name: str) -> None:
    """What every detector knows need not be told again; and the file says all of it."""
    device = devices.load_device(name)
    assert devices.sends_of(device)["sentinels"] == ()
    again = devices.device_from_text(devices.to_toml(with_codes(name)))
    assert again == with_codes(name)
    assert {channel for channel, _ in devices.sends_of(again)["sentinels"]} == set(device.channels)
    for channel, unit in devices.sends_of(device)["units"]:
        assert parse_units([f"{channel}={unit}"])


# --- where readings come from -----------------------------------------------------------------


def kitchen(folder: Path) -> Path:
    """Two hours of one sensor in saafe's format; CO reads 500 for four minutes."""
    lines = ["time_s,temperature_c,co_ppm"]
    lines += [f"{60 * k},{21 + k % 3 / 10},{500 if 60 <= k < 64 else 2}" for k in range(120)]
    (folder / "kitchen.csv").write_text("\n".join(lines) + "\n")
    return folder / "kitchen.csv"


def export_of(folder: Path, heads: str = "time,temperature,CO ppm") -> Path:
    """The same as a vendor's export in degF, whose header names no unit of temperature."""
    lines = [heads]
    for k in range(120):
        degf = 212 if k == 80 else 70 + k % 3
        lines.append(f"2026-01-01T{k // 60:02d}:{k % 60:02d}:00Z,{degf},{500 if k == 60 else 2}")
    (folder / "export.csv").write_text("\n".join(lines) + "\n")
    return folder / "export.csv"


def run_for_it(folder: Path, mine: str) -> runs.Run:
    """A small run that was trained for the device."""
    return small_run(folder, for_device(SMALL, mine))


def said_by(*words: object, lines: str | None = None) -> list[dict]:
    """The events that `saafe detect` prints."""
    if lines is not None:  # a stream needs a real stdin
        asked = [sys.executable, "-m", "saafe", "detect", *map(str, words)]
        piped = subprocess.run(asked, input=lines, capture_output=True, text=True, check=True)
        return [json.loads(line) for line in piped.stdout.splitlines()]
    done = CliRunner().invoke(command, ["detect", *map(str, words)])
    assert done.exit_code == 0, done.output
    return [json.loads(line) for line in done.stdout.splitlines()]


def reasons(events: list[dict]) -> set[tuple[str, str]]:
    return {(e["channel"], e["reason"]) for e in events if e["event"] == "fault"}


CO_CODE = ("co", "500 is the device's for no value")
BOILING = ("temperature", "100 is the device's for no value")


def test_a_run_knows_what_its_device_sends(tmp_path: Path, mine: str) -> None:
    run = run_for_it(tmp_path, mine)
    told = {"sentinels": (("temperature", 100.0), ("co", 500.0)), "units": (("temperature", "F"),)}
    assert devices.sends_of(devices.load_device(mine)) == told
    assert (run.settings.sentinels, run.settings.units) == tuple(told.values())
    (tmp_path / "run.onnx").write_bytes(onnx_files.single_precision(run))
    exported = load_model(tmp_path / "run.onnx")
    assert exported.settings == run.settings
    assert load_exported(tmp_path / "run.onnx").settings == AlarmSettings.from_dict(
        run.settings.to_dict()
    )
    for model in (run, exported):  # what travels to workers
        assert unpack_model(pack_model(model)).settings == run.settings


def test_detect_masks_what_the_device_sends(tmp_path: Path, mine: str) -> None:
    run, path = run_for_it(tmp_path, mine), kitchen(tmp_path)
    events = said_by(run.folder, path)
    assert reasons(events) == {CO_CODE}
    assert said_by(run.folder, "-", lines=path.read_text()) == events
    done = CliRunner().invoke(
        command, ["detect", str(run.folder), str(path), "--out", str(tmp_path / "events")]
    )
    assert done.exit_code == 0
    (kept,) = (tmp_path / "events").rglob("kitchen*.jsonl")
    assert [json.loads(line) for line in kept.read_text().splitlines()] == events
    general = small_run(tmp_path, seed=1)
    assert not reasons(said_by(general.folder, path))


def test_an_export_is_in_the_devices_units_where_it_names_none(tmp_path: Path, mine: str) -> None:
    run = run_for_it(tmp_path, mine)
    assert reasons(said_by(run.folder, export_of(tmp_path), "--sensor", "A")) == {CO_CODE, BOILING}
    usual = usual_units(run.settings.units)
    for heads, told, most in (
        ("time,temperature,CO ppm", {}, 22.3),
        ("time,temperature (C),CO ppm", {}, 212.0),  # the header's counts
        (
            "time,temperature,CO ppm",
            parse_units(["temperature=deci-degrees"]),
            21.2,
        ),  # what a user says
        ("time,temperature,CO ppm", parse_units(["temperature=C"]), 212.0),
    ):
        path = export_of(tmp_path, heads)
        read, _ = read_recorded(
            path, {"units": usual | dict(told)}, sentinels=run.settings.sentinels
        )
        assert np.nanmax(read.readings[..., TEMPERATURE]) == pytest.approx(most, abs=0.1)


@pytest.mark.parametrize(
    ("head", "unit", "reads", "command_says"),
    [
        ("temperature", "F", 68, True),
        ("temperature", "K", 294, True),
        ("co2", "%", 0.0625, True),
        ("pm25", "mg/m3", 0.5, True),
        ("humidity", "fraction", 0.5, True),
        ("temperature (F)", "F", 68, False),  # the import reads it in the header
        ("temperature (C)", "F", 21, False),  # the header's counts
        ("temperature", "C", 21, False),
    ],
)
def test_the_import_that_a_refusal_names_reads_what_the_device_sends(
    head: str, unit: str, reads: float, command_says: bool, tmp_path: Path
) -> None:
    path, channel = tmp_path / "export.csv", head.partition(" ")[0]
    rows = [f"2026-01-01 00:{k:02d}:00,{reads * (1 + k % 2 / 8)},43" for k in range(60)]
    path.write_text("\n".join([f"Timestamp,{head},sound", *rows]) + "\n")
    units = ((channel, unit),)
    with pytest.raises(InputError) as refused:
        read_recorded(path, units=units)
    told = re.search(r"saafe (data import [^;]*)", str(refused.value))
    assert told, refused.value
    assert (f"--unit {channel}={unit}" in told[1]) == command_says
    done = CliRunner().invoke(command, shlex.split(told[1]))
    assert done.exit_code == 0, done.output
    imported, _ = read_recording(tmp_path / "export-saafe.csv")
    meant, _ = read_recorded(path, {"units": usual_units(units)})
    assert np.isfinite(meant.readings[..., CHANNEL_NAMES.index(channel)]).all()
    np.testing.assert_allclose(imported.readings, meant.readings, atol=0.06)  # as files round


@pytest.mark.parametrize(
    "words",
    [
        ["absent.csv"],
        ["absent*.csv"],
        ["broken.csv"],
        ["export.csv"],
        ["export.csv", "--sensor", "A", "--map", "absent=time"],
        ["kitchen.csv", "--drill"],
        ["kitchen.csv", "--keep", "quiet"],
        ["kitchen.csv", "-"],
        ["-", "--repair"],
        ["-", "--out", "events"],
        ["-", "--zone", "Europe/Berlin"],
        ["mqtt://127.0.0.1", "--drill"],
        ["mqtt://127.0.0.1", "--repair"],
    ],
    ids=" ".join,
)
def test_what_cannot_be_read_is_said_before_thresholds_are_set(
    words: list[str], tmp_path: Path, mine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They take minutes on a busy machine."""
    run = small_run(tmp_path)
    kitchen(tmp_path)
    export_of(tmp_path, "Timestamp,temperature,CO ppm")
    (tmp_path / "broken.csv").write_text("time_s,temperature_c\n0,warm\n")
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(command, ["detect", str(run.folder), *words, "--device", mine])
    assert isinstance(done.exception, InputError), done.output
    assert "setting thresholds" not in done.stderr


@pytest.mark.parametrize(
    ("payload", "told", "reads"),
    [
        (b'{"temperature": 68}', (), 20.0),
        (b'{"temperature_c": 68}', (), 68.0),  # saafe's column
        (b'{"temperature_celsius": 20}', (), 20.0),
        (b'{"temperature": 20, "unit": "C"}', (), 20.0),
        (b'{"temperature": 20}', ("temperature=C",), 20.0),
        (b'{"temperature": 293.15}', ("temperature=K",), 20.0),
        (b'{"temperature_c": 68}', ("temperature=F",), 20.0),  # what a user says counts everywhere
    ],
)
def test_a_message_that_names_no_unit_is_in_the_devices(
    payload: bytes, told: tuple[str, ...], reads: float
) -> None:
    units = usual_units((("temperature", "F"),)) | dict(parse_units(told))
    assert float(read_payload(payload, "", units)["temperature_c"]) == pytest.approx(reads)


def test_a_topic_that_names_no_unit_is_in_the_devices() -> None:
    units = usual_units((("temperature", "F"),))
    assert float(read_payload(b"68", "temperature", units)["temperature_c"]) == pytest.approx(20.0)
    assert read_payload(b"68", "temperature_c", units) == {"temperature_c": "68"}


def test_a_fleet_masks_what_the_device_sends(tmp_path: Path, mine: str) -> None:
    run = run_for_it(tmp_path, mine)
    fleet, events = Fleet(run), []
    units = usual_units(run.settings.units)
    for k, degf in enumerate((70, 70, 212, 71)):
        cells = read_payload(b'{"temperature": %d, "co": 2}' % degf, "", units)
        events += fleet.take([Arrival("hall", "A", cells, 1e9 + 60.0 * k)])
    assert reasons(events) == {BOILING}


def test_what_teaches_holds_no_sentinel(tmp_path: Path, mine: str) -> None:
    """A CO of 500 for minutes is a fixed rule's alarm, so the day around it was left out."""
    (tmp_path / "homes").mkdir()
    kitchen(tmp_path / "homes")
    told = devices.sends_of(devices.load_device(mine))["sentinels"]
    (room,) = read_rooms(tmp_path / "homes", sentinels=told).rooms
    assert np.nanmax(room.recording.readings[..., CO]) == 2.0
    with pytest.raises(InputError, match="co_dose"):
        read_rooms(tmp_path / "homes")


def test_readings_that_were_rounded_on_their_way_are_known(tmp_path: Path, mine: str) -> None:
    """999 degF is 537.2222 degC, which files hold with two digits and Parquet as 537.22223."""
    text = MINE.replace("[212]", "[999]")
    (tmp_path / "mine.toml").write_text(text)
    told = devices.sends_of(devices.load_device(mine))["sentinels"]
    degc = np.array([21.0, (999 - 32) / 1.8, 21.5], np.float32)
    readings = np.full((3, 1, len(CHANNELS)), np.nan, np.float32)
    readings[:, 0, TEMPERATURE] = degc
    recording = Recording("r", np.arange(3) * 60.0, ("A",), readings)
    for suffix in (".csv", ".parquet"):
        write_recording(recording, tmp_path / f"r{suffix}")
        read, _ = read_recording(tmp_path / f"r{suffix}", sentinels=told)
        assert np.isnan(read.readings[:, 0, TEMPERATURE]).tolist() == [False, True, False]


@pytest.mark.parametrize("channel", CHANNELS, ids=[channel.name for channel in CHANNELS])
def test_a_code_is_known_whoever_converted_it(channel: Channel, tmp_path: Path) -> None:
    """(51 degF - 32) * 5 / 9 has another last digit than 51 degF * 5 / 9 - 160 / 9.

    A file's readings are of single precision, where both are one; a stream took it for a reading.
    """
    for unit in CHANNEL_UNITS[channel.name]:
        low, high = ((end - unit.shift) / unit.factor for end in (channel.lowest, channel.highest))
        codes = [low + share * (high - low) for share in (0.31, 0.6180339, 0.77)]
        told = [(channel.name, float(unit.apply(code))) for code in codes]
        model, held = Scorer(is_odd, replace(SETTINGS, sentinels=tuple(told))), held_sentinels(told)
        lines = [f"time_s,{channel.column}"]
        for k, (_, value) in enumerate(told):
            near = (value, np.nextafter(value, -1e9), np.nextafter(value, 1e9), np.float32(value))
            for m, one in enumerate(map(float, near)):
                assert "device's" in to_reading(one, channel, held[channel.name])[1]
                ordinary = channel.lowest + 0.5 * (channel.highest - channel.lowest)
                lines += [f"{240 * k + 60 * m},{one!r}", f"{240 * k + 60 * m + 30},{ordinary:g}"]
        path = tmp_path / "near.csv"
        path.write_text("\n".join(lines) + "\n")
        read, check = read_recording(path, sentinels=told)
        assert check.channels[channel.name].masked == 12
        assert sum(check.channels[channel.name].wrong_values.values()) == 12
        assert detect(model, read).events == lived(model, path)


@pytest.mark.parametrize(("channels", "is_noted"), [(("pm25",), True), (("pm25", "co"), False)])
def test_a_device_of_particles_alone_is_said_to_find_next_to_nothing(
    channels: tuple[str, ...], is_noted: bool, tmp_path: Path
) -> None:
    own = devices.load_device("saafe-6")
    device = replace(own, name="box", channels={name: own.channels[name] for name in channels})
    (tmp_path / "box.toml").write_text(devices.to_toml(device))
    run = small_run(tmp_path, for_device(SMALL, device))
    words = ["detect", run.folder, kitchen(tmp_path), "--device", tmp_path / "box.toml"]
    done = CliRunner().invoke(command, [*map(str, words)])
    assert done.exit_code == 0, done.output
    assert ("shows particles alone" in done.stderr) == is_noted


def test_an_archive_that_was_made_without_a_devices_sentinels_is_not_gone_on_with(
    tmp_path: Path, mine: str
) -> None:
    """Its events would be of two kinds."""
    run, path, out = run_for_it(tmp_path, mine), kitchen(tmp_path), str(tmp_path / "events")
    words = ["detect", str(run.folder), str(path), "--out", out]
    assert CliRunner().invoke(command, words).exit_code == 0
    kept = json.loads((tmp_path / "events" / "detect.json").read_text())
    assert kept["sentinels"] == [["temperature", 100.0], ["co", 500.0]]
    (tmp_path / "events" / "detect.json").write_text(json.dumps(kept | {"sentinels": []}))
    refused = CliRunner().invoke(command, words)
    assert refused.exit_code == 1
    assert "another sentinels" in str(refused.exception)
