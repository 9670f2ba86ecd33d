"""`saafe data import` of JSON: the shapes that are common, and one line for those that are not."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from saafe.errors import InputError
from saafe.readers import import_recording
from saafe.sensors import CHANNEL_NAMES

ROWS = range(6)
TIMES = [f"2026-03-01T10:0{k}:00Z" for k in ROWS]
EPOCHS = [1772359200 + 60 * k for k in ROWS]
TEMPERATURE, CO2 = [20.0 + k for k in ROWS], [500.0 + k for k in ROWS]
PLAIN = [{"time": TIMES[k], "temperature": TEMPERATURE[k], "co2": CO2[k]} for k in ROWS]
FEEDS = [
    {"created_at": TIMES[k], "entry_id": k, "field1": str(TEMPERATURE[k]), "field2": CO2[k],
     "field3": None}
    for k in ROWS
]  # fmt: skip
KITCHEN = {"sensor.kitchen_temperature": TEMPERATURE, "sensor.kitchen_co2": CO2}


def entities(short: bool) -> dict[str, list[dict[str, Any]]]:
    """Home Assistant's history by entity, as its websocket gives it, or its statistics."""
    return {
        name: [{"s": str(v), "a": {}, "lu": t} if short else
               {"start": 1000 * t, "end": 1000 * t + 1, "mean": v, "min": 0, "max": 99}
               for v, t in zip(values, EPOCHS, strict=True)]
        for name, values in KITCHEN.items()
    }  # fmt: skip


def table(names: Sequence[str]) -> list[list[Any]]:
    return [[row[name] for name in names] for row in PLAIN]


NAMES = ["time", "temperature", "co2"]
READ: dict[str, Any] = {
    "ThingSpeak, null fields": {"channel": {"field1": "Temperature", "field2": "CO2"},
                                "feeds": FEEDS},
    "Home Assistant's websocket": entities(short=True),
    "Home Assistant's statistics": entities(short=False),
    "columns": {name: [row[name] for row in PLAIN] for name in NAMES},
    "columns inside": {"latitude": 52.0, "hourly": {n: [r[n] for r in PLAIN] for n in NAMES}},
    "pandas' columns": {n: {str(k): row[n] for k, row in enumerate(PLAIN)} for n in NAMES},
    "pandas' split": {"columns": NAMES, "index": [*ROWS], "data": table(NAMES)},
    "InfluxDB": {"results": [{"statement_id": 0, "series": [
        {"name": "air", "columns": NAMES, "values": table(NAMES)}]}]},
    "InfluxDB, a series a channel": {"results": [{"series": [
        {"name": n, "columns": ["time", "mean"], "values": table(["time", n])} for n in NAMES[1:]
    ]}]},
    "Grafana": [{"target": n, "datapoints": [[row[n], 1000 * EPOCHS[k]]
                                             for k, row in enumerate(PLAIN)]} for n in NAMES[1:]],
    "rows under names": [NAMES, *table(NAMES)],
    "by time": {row["time"]: {n: row[n] for n in NAMES[1:]} for row in PLAIN},
    "an object inside": [{"time": r["time"], "data": {n: r[n] for n in NAMES[1:]}} for r in PLAIN],
    "a value with a unit": [
        {"time": r["time"], "temperature": {"value": r["temperature"], "unit": "C"},
         "co2": {"value": r["co2"] / 1e4, "unit": "%"}} for r in PLAIN],
    "a list of readings": [
        {"time": r["time"], "readings": [{"type": n, "value": r[n]} for n in NAMES[1:]]}
        for r in PLAIN],
    "Awair, with its scores": {"data": [
        {"timestamp": r["time"], "score": 90,
         "sensors": [{"comp": "temp", "value": r["temperature"]},
                     {"comp": "co2", "value": r["co2"]}],
         "indices": [{"comp": "temp", "value": 1.0}, {"comp": "co2", "value": 2.0}]}
        for r in PLAIN]},
    "a list of something else first": {"units": [{"name": "temperature"}], "readings": PLAIN},
}  # fmt: skip


def write(folder: Path, document: object) -> Path:
    path = folder / "export.json"
    path.write_text(json.dumps(document))
    return path


def values_of(readings: np.ndarray, channel: str, sensor: int = 0) -> list[float]:
    return readings[:, sensor, CHANNEL_NAMES.index(channel)].tolist()


@pytest.mark.parametrize("name", READ)
def test_common_shapes_are_read(name: str, tmp_path: Path) -> None:
    recording, _, _ = import_recording(write(tmp_path, READ[name]))
    assert len(recording.sensors) == 1
    assert recording.times_s.tolist() == [60.0 * k for k in ROWS]
    assert values_of(recording.readings, "temperature") == TEMPERATURE
    assert values_of(recording.readings, "co2") == pytest.approx(CO2)


def test_sensor_communitys_readings_are_read(tmp_path: Path) -> None:
    records = [
        {"id": k, "timestamp": TIMES[k], "sensor": {"id": 7, "sensor_type": {"name": "SDS011"}},
         "sensordatavalues": [{"value_type": "P1", "value": "9.0"},
                              {"value_type": "P2", "value": f"{k}.5"}]}
        for k in ROWS
    ]  # fmt: skip
    recording, _, _ = import_recording(write(tmp_path, records))
    assert values_of(recording.readings, "pm25") == [k + 0.5 for k in ROWS]


ROOMS = {
    "lists by room": {"kitchen": PLAIN, "bed": [r | {"temperature": 10.0} for r in PLAIN]},
    "objects by room": [
        {"time": r["time"], "kitchen": {"temperature": r["temperature"], "co2": r["co2"]},
         "bed": {"temperature": 10.0, "co2": r["co2"]}} for r in PLAIN],
}  # fmt: skip


@pytest.mark.parametrize("name", ROOMS)
def test_rooms_stay_apart(name: str, tmp_path: Path) -> None:
    recording, _, _ = import_recording(write(tmp_path, ROOMS[name]))
    assert recording.sensors == ("kitchen", "bed")
    assert values_of(recording.readings, "temperature", 0) == TEMPERATURE
    assert values_of(recording.readings, "temperature", 1) == [10.0] * len(ROWS)


def test_rooms_that_come_in_turn_are_not_one(tmp_path: Path) -> None:
    """Of lines with one room each all were readings of one sensor."""
    lines = [{"ts": EPOCHS[k], ("bed" if k % 2 else "kitchen"): {"temperature": 20 - k % 2 * 10}}
             for k in ROWS]  # fmt: skip
    path = tmp_path / "rooms.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)))
    recording, _, _ = import_recording(path)
    assert set(recording.sensors) == {"kitchen", "bed"}
    at = recording.sensors.index("bed")
    assert np.nanmax(values_of(recording.readings, "temperature", at)) == 10.0


LEFT_OUT: dict[str, tuple[Any, str]] = {
    "an item that is no object": ([*PLAIN * 4, None], "1 nameless list item"),
    "a feed that is none": (
        {"channel": {"field1": "Temperature", "field2": "CO2"}, "feeds": [*FEEDS * 4, None]},
        "1 nameless list item",
    ),
    "a list in a record": ([r | {"pm25": [1, 2]} for r in PLAIN], "12 'pm25' list items"),
    "a short row": ([NAMES, *table(NAMES), ["2026-03-01T11:00:00Z", 20]], "1 misfit row"),
    "a list of something else": (READ["a list of something else first"], "1 'units' item"),
}


@pytest.mark.parametrize("name", LEFT_OUT)
def test_nothing_is_left_out_without_a_word(name: str, tmp_path: Path) -> None:
    document, said = LEFT_OUT[name]
    _, check, _ = import_recording(write(tmp_path, document))
    assert any(f"left out {said}" in note for note in check.notes), check.notes


def test_a_line_that_is_no_object_is_noted(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    path.write_text("\n".join([*map(json.dumps, PLAIN), "[1, 2]"]))
    recording, check, _ = import_recording(path)
    assert len(recording.times_s) == len(PLAIN)
    assert any("left out 1 line without a JSON object, first in line 7" in n for n in check.notes)


REFUSED: dict[str, tuple[str, str]] = {
    "no feeds": (json.dumps({"channel": None, "feeds": []}), "an object of channel, feeds"),
    "no names": (json.dumps(table(NAMES)), "a list of 6 lists"),
    "lines without names": ("\n".join(map(json.dumps, table(NAMES))), "a list of 6 lists"),
    "values": ("[1, 2, 3]", "a list of 3 values"),
    "nothing": ("[]", "an empty list"),
    "columns of two lengths": (json.dumps({"time": TIMES, "co2": [1, 2]}), "object of time, co2"),
    "a broken one": (json.dumps(PLAIN, indent=1)[:-30], "JSON that is broken or ends early"),
    "odd items": (json.dumps([*PLAIN, None, 3, "x"]), "3 nameless list items, of 9"),
    "ThingSpeak without a channel": (json.dumps({"channel": None, "feeds": FEEDS}),
                                     "columns={'field1': 'temperature'}"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_other_shapes_are_refused_in_one_line(name: str, tmp_path: Path) -> None:
    text, said = REFUSED[name]
    path = tmp_path / "export.json"
    path.write_text(text)
    with pytest.raises(InputError) as refused:
        import_recording(path)
    assert said in str(refused.value)
    assert "allowed: " in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_log_whose_lines_begin_with_a_bracket_is_no_broken_json(tmp_path: Path) -> None:
    """One of more than two lines was refused as lines that are no JSON object."""
    path = tmp_path / "esphome.log"
    path.write_text("\n".join(
        f"[08:{k:02d}:00][D][sensor:094]: 'Kitchen CO2': Sending state {500 + k}.0 ppm with 0 dec"
        for k in range(30)
    ))  # fmt: skip
    recording, _, _ = import_recording(path)
    assert values_of(recording.readings, "co2") == [500.0 + k for k in range(30)]


@pytest.mark.parametrize(
    "document",
    [
        [["time", "co2", "co2"], *([t, 500.0, 900.0] for t in TIMES)],
        {"columns": ["time", "co2", "CO2"], "data": [[t, 500.0, 900.0] for t in TIMES]},
        [{"time": t, "all": [{"type": "co2", "value": v} for v in (500.0, 900.0)]} for t in TIMES],
    ],
)
def test_of_two_readings_of_one_name_both_are_read(document: object, tmp_path: Path) -> None:
    recording, _, _ = import_recording(write(tmp_path, document))
    readings = recording.readings
    assert [values_of(readings, "co2", sensor)[0] for sensor in range(2)] == [500.0, 900.0]


@pytest.mark.parametrize("half", [{"sensor\ud800": 1}, {"sensor": "\ud800"},
                                  {"all": [{"type": "\ud800", "value": 1}]},
                                  {"temperature": {"value": 20, "unit": "\ud800"}}])  # fmt: skip
def test_half_characters_do_not_end_an_import(half: dict[str, Any], tmp_path: Path) -> None:
    recording, _, _ = import_recording(
        write(tmp_path, [{"time": t, "co2": 500.0} | half for t in TIMES])
    )
    assert values_of(recording.readings, "co2")[0] == 500.0
