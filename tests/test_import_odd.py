"""Exports that were once read wrongly without a word: each is right now, told, or refused."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner

from saafe.cli import saafe
from saafe.errors import InputError
from saafe.readers.export_numbers import read_cells
from saafe.readers.export_text import _whole_rows
from saafe.readers.exports import import_recording
from saafe.recordings.recording import read_recording
from saafe.sensors import CO2, HUMIDITY, TEMPERATURE

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
DAY_S = 86_400.0


def iso(step: int, every_s: int = 60) -> str:
    return (NOON + timedelta(seconds=step * every_s)).strftime("%Y-%m-%dT%H:%M:%SZ")


def table(header: str, row: Callable[[int], str], count: int = 12) -> str:
    return "\n".join([header, *map(row, range(count))]) + "\n"


def temperatures(path: Path, **options: object) -> dict[str, list[float]]:
    """Those of each sensor that are not missing."""
    recording = import_recording(path, **options)[0]  # type: ignore[arg-type]
    values = recording.readings[:, :, TEMPERATURE]
    return {
        sensor: np.round(values[np.isfinite(values[:, index]), index], 2).tolist()
        for index, sensor in enumerate(recording.sensors)
    }


def write(folder: Path, text: str, name: str = "export.csv") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def in_both(step: int) -> tuple[str, str]:
    return ("20", "°C") if step < 6 else ("68", "°F")


ATTRIBUTES = '"{{""unit_of_measurement"":""{}"",""friendly_name"":""x""}}"'
INFLUX = "\n".join(
    "#datatype,string,long,dateTime:RFC3339,double,string,string,string\n"
    "#group,false,false,false,false,true,true,true\n#default,_result,,,,,,\n"
    ",result,table,_time,_value,_field,_measurement,entity_id\n"
    + "\n".join(f",,{k},{iso(6 * k + i)},{value},value,{unit},kitchen_temperature"
                for i in range(6)) + "\n"
    for k, (value, unit) in enumerate([(20, "°C"), (68, "°F")])
)  # fmt: skip
UNITS = {
    "an entity": table("entity_id,state,unit_of_measurement,last_changed", lambda i: ",".join(
        ["sensor.kitchen_temperature", *in_both(i), iso(i)])),
    "InfluxDB's tables": INFLUX,
    "attributes": table("entity_id,state,last_updated,attributes", lambda i: ",".join(
        ["sensor.kitchen_temperature", in_both(i)[0], iso(i),
         ATTRIBUTES.format(in_both(i)[1].replace("°", "\\u00b0" if i % 2 else "°"))])),
    "a wide table": table("time,temperature,unit", lambda i: ",".join([iso(i), *in_both(i)])),
    "several columns": table("time,kitchen temp,hall temp,unit", lambda i: ",".join(
        [iso(i), in_both(i)[0], *in_both(i)])),
}  # fmt: skip


@pytest.mark.parametrize("name", UNITS)
def test_a_unit_beside_each_reading_counts_for_that_reading(name: str, tmp_path: Path):
    """The first unit of an entity stood for all its rows: 21 degC was read as -6.1."""
    found = temperatures(write(tmp_path, UNITS[name]))
    assert [*found.values()] == [[20.0] * 12] * len(found)
    assert len(found) == (2 if name == "several columns" else 1)
    guess = import_recording(tmp_path / "export.csv")[2]
    assert guess.columns[0].unit == "C or F"
    told = temperatures(tmp_path / "export.csv", units={"temperature": "C"})
    assert [*told.values()][0] == [20.0] * 6 + [68.0] * 6  # noqa: RUF015


def test_a_letter_of_a_flat_is_no_unit(tmp_path: Path):
    path = write(
        tmp_path, table("time,temperature,unit", lambda i: f"{iso(i)},21,{'ABCDEF'[i % 6]}")
    )
    assert temperatures(path) == {"A": [21.0] * 12}


LETTERS = {
    "of degrees": ("temp_c", "temp_f"), "of all degrees": ("temp_c", "temp_f", "temp_k"),
    "of places": ("temp_a", "temp_b", "temp_c", "temp_d", "temp_e", "temp_f"),
    "of some places": ("kitchen temp D", "kitchen temp E", "kitchen temp F"),
    "before the channel": ("room_f_temperature", "room_k_temperature"),
    "of zones": ("temperature zone c", "temperature zone f"),
}  # fmt: skip
FOUND = {
    "of degrees": {"A": 21.0}, "of all degrees": {"A": 21.0},
    "of places": dict.fromkeys("abcdef", 21.0),
    "of some places": dict.fromkeys(["kitchen_D", "kitchen_E", "kitchen_F"], 21.0),
    "before the channel": {"room_f": 21.0, "room_k": 21.0},
    "of zones": {"zone_c": 21.0, "zone_f": 21.0},
}  # fmt: skip


@pytest.mark.parametrize("name", LETTERS)
def test_letters_of_places_are_no_units(name: str, tmp_path: Path):
    """Room F was in degF: -6 for 21, and of six columns A to F three were left out."""
    degrees = {"temp_c": "21", "temp_f": "69.8", "temp_k": "294.15"} if "degrees" in name else {}
    cells = ",".join(degrees.get(column, "21") for column in LETTERS[name])
    path = write(tmp_path, table(",".join(["time", *LETTERS[name]]), lambda i: f"{iso(i)},{cells}"))
    assert {k: v[0] for k, v in temperatures(path).items()} == FOUND[name]
    if name == "of places":  # also where they are named, and with a unit
        told = temperatures(path, columns={"temp_f": "temperature@attic"})
        assert told["attic"][0] == 21.0
        path.write_text(path.read_text().replace("temp_f", "temp_f (degF)").replace("21\n", "50\n"))
        assert temperatures(path)["f"][0] == 10.0


def test_a_unit_that_a_display_may_show_is_told(tmp_path: Path):
    """Of some sensors it is the display's, of others the readings'."""
    path = write(tmp_path, table("time,temperature,temperature_unit,humidity",
                                 lambda i: f"{iso(i)},44,fahrenheit,40"))  # fmt: skip
    _, check, _ = import_recording(path)
    (said,) = [note for note in check.notes if "temperature_unit" in note]
    assert said.startswith("'temperature_unit' says 'fahrenheit', and 'temperature' was taken in C")
    for unit in "F", "C":
        notes = import_recording(path, units={"temperature": unit})[1].notes
        assert not [note for note in notes if "temperature_unit" in note]


def test_of_several_columns_of_readings_that_with_readings_is_taken(tmp_path: Path):
    """`state` of Home Assistant's statistics is empty where `mean` is not."""
    row = lambda i: f"sensor.hall_temperature,{1769860800 + 300 * i},21.5,20,23,,"  # noqa: E731
    text = table("statistic_id,start_ts,mean,min,max,state,sum", row)
    assert temperatures(write(tmp_path, text)) == {"hall": [21.5] * 12}


def test_of_two_times_that_which_moves_is_taken(tmp_path: Path):
    text = table("entity_id,state,last_changed,last_updated",
                 lambda i: f"sensor.hall_temperature,{21 + i},{iso(0)},{iso(i)}")  # fmt: skip
    assert temperatures(write(tmp_path, text)) == {"hall": [21.0 + i for i in range(12)]}


@pytest.mark.parametrize("wrong", [1, 30])
def test_readings_of_one_time_that_differ_are_told_or_refused(wrong: int, tmp_path: Path):
    """Of a long table the first was kept without a word."""
    text = table("time,type,value", lambda i: f"{iso(i)},temperature,21", 60)
    text += "".join(f"{iso(i)},temperature,25\n" for i in range(wrong))
    path = write(tmp_path, text)
    if wrong == 1:
        recording, check, _ = import_recording(path)
        assert (recording.readings[:, 0, TEMPERATURE] == 21.0).all()
        assert "left out 1 reading of a time and sensor that had another one" in check.notes[0]
        return
    with pytest.raises(InputError, match="30 readings of a time and sensor that had another one"):
        import_recording(path)


def test_a_column_that_parts_the_rows_names_the_sensors(tmp_path: Path):
    """InfluxDB's `name` is one measurement of two hosts, whose rows were one sensor's."""
    row = lambda i: f"air,{1769860800 + 30 * i},pi{i % 2},{21 + i % 2}"  # noqa: E731
    text = table("name,time,host,temperature", row)
    assert temperatures(write(tmp_path, text)) == {"pi0": [21.0] * 6, "pi1": [22.0] * 6}


def test_two_devices_in_a_room_are_told(tmp_path: Path):
    rows = [("kitchen", "a"), ("hall", "c"), ("kitchen", "b")]
    text = table("time,room,device,temperature",
                 lambda i: f"{iso(i, 20)},{','.join(rows[i % 3])},{21 + i % 3}")  # fmt: skip
    path = write(tmp_path, text)
    (said,) = [note for note in import_recording(path)[1].notes if "'device'" in note]
    assert "sensor 'kitchen' has rows of several in 'device' (a, b)" in said
    assert [*temperatures(path, columns={"device": "sensor"})] == ["a", "c", "b"]
    for said in {"device": "ignore"}, {"room": "sensor"}:
        notes = import_recording(path, columns=said)[1].notes
        assert not [note for note in notes if "rows of several" in note]
    # topics that tell apart what is measured are no devices
    text = table("time,room,topic,temperature,co2",
                 lambda i: f"{iso(i, 20)},{'hall' if i % 4 < 2 else 'bath'},"
                           + ("x/t,21," if i % 2 else "x/c,,500"))  # fmt: skip
    notes = import_recording(write(tmp_path, text))[1].notes
    assert not [note for note in notes if "rows of several" in note]


EPOCHS = {
    "half in ms": (lambda i: (1769860800 + 60 * i) * (1000 if i % 2 else 1), "ms or s since 1970"),
    "one in us": (lambda i: (1769860800 + 60 * i) * (10**6 if i == 4 else 1), "us or s since 1970"),
    "all in ns": (lambda i: (1769860800 + 60 * i) * 10**9, "ns since 1970"),
}


@pytest.mark.parametrize("name", EPOCHS)
def test_each_epoch_is_in_the_unit_that_its_size_tells(name: str, tmp_path: Path):
    """Those in seconds stood in January 1970, and a repair shifted them somewhere."""
    epoch, form = EPOCHS[name]
    path = write(tmp_path, table("timestamp,temperature", lambda i: f"{epoch(i)},21"))
    recording, _, guess = import_recording(path)
    assert guess.time_form == form
    assert recording.start == NOON
    assert np.diff(recording.times_s).tolist() == [60.0] * 11


SPANS = {
    "named mm:ss": ("elapsed (mm:ss)", lambda i: f"{i:02d}:30", "mm:ss from a start"),
    "minutes and seconds": ("Time [min:sec]", lambda i: f"{i}:30.0", "mm:ss from a start"),
    "within a day": ("elapsed", lambda i: f"{9 + i // 60}:{i % 60:02d}:15", "hours without a date"),
    "far beyond": ("elapsed", lambda i: f"{40 + i // 60}:{i % 60:02d}:15", "h:mm:ss from a start"),
    "hh:mm:ss": ("Time (hh:mm:ss)", lambda i: f"01:{i % 60:02d}:00", "hours without a date"),
}  # fmt: skip


@pytest.mark.parametrize("name", SPANS)
def test_times_as_on_a_stopwatch(name: str, tmp_path: Path):
    """Minutes and seconds were hours and minutes, and what is beyond 24 was left out."""
    column, cell, form = SPANS[name]
    count = 60 if name == "hh:mm:ss" else 90
    path = write(tmp_path, table(f"{column},temperature,co2", lambda i: f"{cell(i)},21,500", count))
    recording, _, guess = import_recording(path)
    assert guess.time_form == form
    assert np.diff(recording.times_s).tolist() == [60.0] * (count - 1)


def test_two_parts_beyond_a_day_are_refused(tmp_path: Path):
    """66 of 90 rows were left out, and the others an hour apart."""
    path = write(tmp_path, table("Time,temperature", lambda i: f"{i:02d}:30,21", 90))
    with pytest.raises(InputError, match=r"no times in column 'Time', such as '00:30'.*h:mm:ss"):
        import_recording(path)


FORMS = {"%d/%m/%Y": "day first", "%m/%d/%Y": "month first", "%y-%m-%d": "year of two digits first",
         "%d.%m.%y": "day first", "%m/%d/%y": "month first"}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_dates_of_days_are_in_the_order_that_puts_them_together(form: str, tmp_path: Path):
    """26-01-31 and 26-02-01 were days of 2031 and 2001."""
    moment = lambda i: (NOON + timedelta(hours=i / 2)).strftime(f"{form} %H:%M")  # noqa: E731
    path = write(tmp_path, table("date,temperature", lambda i: f"{moment(i)},21", 150))
    recording, _, guess = import_recording(path)
    assert guess.time_form.startswith(FORMS[form])
    assert recording.start == NOON.replace(tzinfo=None)
    assert np.diff(recording.times_s).tolist() == [1800.0] * 149


@pytest.mark.parametrize("days", [(11, 12), (11, 12, 13), (13, 11)])
@pytest.mark.parametrize("form", ["%d/%m/%Y", "%m/%d/%Y", "%y-%m-%d"])
def test_files_of_a_day_each_have_one_order_of_dates(
    form: str, days: tuple[int, ...], tmp_path: Path
):
    """02/11 was a day of November and 02/13 one of February: a repair shifted it by 262 days."""
    files = []
    for day in days:
        moments = [datetime(2026, 2, day, 12) + timedelta(minutes=i) for i in range(12)]
        rows = [f"{moment.strftime(f'{form} %H:%M')},21" for moment in moments]
        text = "\n".join(["Date,temperature", *rows])
        files.append(write(tmp_path, text, f"day{day}.csv"))
    out = tmp_path / "out.csv"
    result = CliRunner().invoke(saafe, ["data", "import", *map(str, files), str(out)])
    assert result.exit_code == 0, result.output
    recording, _ = read_recording(out)
    assert recording.start == datetime(2026, 2, 11, 12)
    assert recording.times_s[-1] == (max(days) - 11) * DAY_S + 660.0


def test_files_of_two_orders_of_dates_are_refused(tmp_path: Path):
    files = []
    for day in "02/13/2026", "13/02/2026":
        rows = [f"{day} 12:{i:02d},21" for i in range(12)]
        text = "\n".join(["Date,temperature", *rows])
        files.append(write(tmp_path, text, f"{len(files)}.csv"))
    result = CliRunner().invoke(saafe, ["data", "import", *map(str, files), str(tmp_path / "out")])
    assert result.exit_code != 0
    assert "dates of several forms in 2 files: day first, month first" in str(result.exception)


@pytest.mark.parametrize("seconds", [30, 60])
def test_files_of_two_rooms_are_not_one_sensor_in_silence(seconds: int, tmp_path: Path):
    """Two rooms' rows took turns at sensor A. Files that overlap have rows in common."""
    header = "time,temperature,co2"
    one = write(tmp_path, table(header, lambda i: f"{iso(i)},21,500"), "kitchen.csv")
    late = (lambda i: iso(2 * i + 1, 30)) if seconds == 30 else (lambda i: iso(i + 6))
    two = write(tmp_path, table(header, lambda i: f"{late(i)},21,500"), "hall.csv")
    both, out = [str(one), str(two)], str(tmp_path / "out.csv")
    printed = " ".join(CliRunner().invoke(saafe, ["data", "import", *both, out]).output.split())
    told = "rows of kitchen.csv and hall.csv take turns at sensor A"
    assert (told in printed) == (seconds == 30)
    if seconds == 30:  # what it advises
        parts = []
        for name in "kitchen", "hall":
            parts.append(str(tmp_path / f"{name}-alone.csv"))
            words = [str(tmp_path / f"{name}.csv"), parts[-1], "--sensor", name]
            assert CliRunner().invoke(saafe, ["data", "import", *words]).exit_code == 0
        assert CliRunner().invoke(saafe, ["data", "import", *parts, out]).exit_code == 0
        assert read_recording(out)[0].sensors == ("kitchen", "hall")


def test_files_of_an_entity_each_make_one_sensor(tmp_path: Path):
    files = [
        write(tmp_path, table("entity_id,state,last_changed",
                              lambda i: f"sensor.kitchen_{what},{value},{iso(2 * i + late, 30)}"),  # noqa: B023
              f"{what}.csv")
        for late, (what, value) in enumerate([("temperature", 21), ("co2", 500)])
    ]  # fmt: skip
    out = tmp_path / "out.csv"
    result = CliRunner().invoke(saafe, ["data", "import", *map(str, files), str(out)])
    assert "take turns" not in result.output
    recording = read_recording(out)[0]
    assert recording.sensors == ("kitchen",)
    assert np.isfinite(recording.readings[:, 0, [TEMPERATURE, CO2]]).sum(axis=0).tolist() == [
        12,
        12,
    ]


@pytest.mark.parametrize(("cell", "value"), [
    ("1 234", 1234.0), ("1 234 567,5", 1234567.5), ("1'234", 1234.0), ("21 °C", 21.0),
    ("21 22", np.nan), ("50 60 ppm", np.nan), ("1 2345", np.nan), ("500 ", 500.0),
])  # fmt: skip
def test_two_numbers_in_a_cell_are_not_one(cell: str, value: float):
    """50 and 60 were 5060 ppm."""
    numbers = read_cells(pl.Series([cell]), ",")
    np.testing.assert_equal(numbers.values, [value])
    assert numbers.is_wrong.tolist() == [bool(np.isnan(value))]


QUOTED = {
    "a note": ("time,note,temperature", lambda i: f'{iso(i)},"one\ntwo, ""three""\n\nfour",21'),
    "two notes": ("time,note,temperature,more", lambda i: f'{iso(i)},"a\nb",21,"c\nd"'),
    "the header": ('time,"temperature\n(degF)",co2', lambda i: f"{iso(i)},69.8,500"),
    "semicolons": ('"time";"temperature\n(°C)";"co2\n(ppm)"', lambda i: f'"{iso(i)}";"21,0";"500"'),
    "a stray quote": ("time,note,temperature", lambda i: f'{iso(i)},5" pipe,21'),
}


@pytest.mark.parametrize("name", QUOTED)
def test_quoted_cells_may_hold_line_ends(name: str, tmp_path: Path):
    """They were refused, with the advice to put quotes around cells."""
    path = write(tmp_path, table(*QUOTED[name]))
    assert temperatures(path) == {"A": [21.0] * 12}
    assert not [note for note in import_recording(path)[1].notes if "left out" in note]


def test_a_quote_that_never_closes_joins_nothing():
    lines = ['a,"b', "1,2", "3,4"] + ["5,6"] * 100 + ['7,8"']
    assert _whole_rows(lines) == lines
    assert _whole_rows(['a,"b', 'c",d', "1,2"]) == ['a,"b c",d', "", "1,2"]


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
def test_durations_of_a_parquet_file_are_seconds(unit: str, tmp_path: Path):
    path = tmp_path / "export.parquet"
    times = pl.Series([timedelta(seconds=60 * i) for i in range(12)]).cast(pl.Duration(unit))
    pl.DataFrame({"elapsed": times, "temperature": [21.0] * 12}).write_parquet(path)
    recording, _, guess = import_recording(path)
    assert guess.time_form == "s from a start"
    assert recording.times_s.tolist() == [60.0 * i for i in range(12)]


@pytest.mark.parametrize("row", [
    "air,room=kitchen temperature=21.5,co2=500i 1769860800000000000", "air temperature=21.5",
    "air,room=kitchen,floor=1 co2=500i 1769860800",
])  # fmt: skip
def test_line_protocol_is_refused_by_its_name(row: str, tmp_path: Path):
    """Its first row was taken for a header without rows."""
    with pytest.raises(InputError, match=r"InfluxDB's line protocol; .*; export it as CSV"):
        import_recording(write(tmp_path, f"{row}\n" * 12))


def test_tables_below_one_another_meet_in_their_times(tmp_path: Path):
    """A repair shifted the second one's rows behind the first one's, as a clock set back."""
    one = table("time,temperature", lambda i: f"{iso(i)},21")
    two = table("time,co2", lambda i: f"{iso(i)},{500 + i}")
    recording, check, _ = import_recording(write(tmp_path, f"{one}\n{two}"))
    assert recording.times_s.tolist() == [60.0 * i for i in range(12)]
    assert np.isfinite(recording.readings[:, 0, [TEMPERATURE, CO2]]).all()
    assert check.repairs == ()


OFFSETS = {
    "Date Time, GMT+01:00": 11, "time GMT-05:00": 17, "time (UTC)": 12, "time UTC+0200": 10,
    "UTC time": 12,
}  # fmt: skip


@pytest.mark.parametrize("name", OFFSETS)
def test_an_offset_in_the_name_of_the_time_counts(name: str, tmp_path: Path):
    """GMT+01:00 was taken for GMT."""
    text = table(f'"{name}",temperature', lambda i: f"2026-01-31 12:{i:02d}:00,21")
    recording = import_recording(write(tmp_path, text))[0]
    assert recording.start is not None
    assert recording.start.astimezone(UTC) == NOON.replace(hour=OFFSETS[name])


def test_half_an_hour_of_offset_in_a_name_is_left_to_whoever_imports(tmp_path: Path):
    text = table('"time UTC+05:30",temperature', lambda i: f"2026-01-31 12:{i:02d}:00,21")
    recording, check, _ = import_recording(write(tmp_path, text))
    assert recording.start == NOON.replace(tzinfo=None)
    assert "times have no offset" in " ".join(check.notes)


LOGGERS = {  # the forms are from memory
    "HOBO": ('"#","Date Time, GMT+01:00","Temp, °F (LGR S/N: 1, SEN S/N: 1)","RH, % (LGR S/N: 1)"',
             lambda i: f"{i},01/31/26 12:{i:02d}:00 PM,69.8,45"),
    "EL-USB": ("EL-USB-2,Time,Celsius(°C),Humidity(%rh),Dew Point(°C),Serial Number",
               lambda i: f"{i},31/01/2026 12:{i:02d}:00,21,45,9,{'' if i else '0123'}"),
}  # fmt: skip


@pytest.mark.parametrize("name", LOGGERS)
def test_loggers_with_serial_numbers_are_one_sensor(name: str, tmp_path: Path):
    path = write(tmp_path, table(*LOGGERS[name]))
    assert temperatures(path) == {"A": [21.0] * 12}
    assert np.isfinite(import_recording(path)[0].readings[:, 0, HUMIDITY]).all()


@pytest.mark.parametrize("banner", ["Serial number=1234", "Logger model=X\nInterval s=60"])
def test_a_line_above_a_table_is_no_line_protocol(banner: str, tmp_path: Path):
    text = table("time,temperature", lambda i: f"{iso(i)},21")
    assert temperatures(write(tmp_path, f"{banner}\n{text}")) == {"A": [21.0] * 12}


@pytest.mark.parametrize("name", ["Time (UTC-13:00)", "time_utc-15", "time utc-5min"])
def test_a_name_with_no_offset_that_there_is_is_no_zone(name: str, tmp_path: Path):
    """The first two ended with a traceback; the third shifted times by five hours."""
    text = table(f"{name},temperature", lambda i: f"{iso(i)[:-1]},21")
    _, check, guess = import_recording(write(tmp_path, text))
    assert guess.time_form == "ISO 8601, without offset"
    assert any("no offset" in note for note in check.notes)


def test_a_unit_before_what_was_made_of_it_is_one(tmp_path: Path):
    """70 degF were 70 degC, and in a table of two rooms CO2 was that of a sensor named ppm."""
    names = "time,hall_temp_F_mean,temp_F_mean,co2_ppm_avg,pm2.5_ug_m3_max,room_f_temp_min"
    text = table(names, lambda i: f"{iso(i)},70,72,500,8,21")
    recording, _, guess = import_recording(write(tmp_path, text))
    assert {(one.channel, one.unit, one.sensor) for one in guess.columns} == {
        ("temperature", "F", "hall"), ("temperature", "F", "A"), ("co2", "ppm", "A"),
        ("pm25", "ug/m3", "A"), ("temperature", "C", "room_f"),
    }  # fmt: skip
    assert recording.sensors == ("hall", "A", "room_f")
