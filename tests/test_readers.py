"""Readers of published recordings, on small files of the same shape and on the real ones."""

import gzip
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from saafe.errors import InputError
from saafe.readers import PUBLISHERS, read_published
from saafe.readers.published import (
    Published,
    ignited,
    optical_density_to_pm25,
    smoke_to_pm25,
    to_recording,
)
from saafe.sensors import CO, CO2, HUMIDITY, PM25, TEMPERATURE

REAL = Path(os.environ.get("SAAFE_REAL", Path(__file__).parents[2] / "shared" / "data"))


def table(header: list[str], *rows: list) -> str:
    return "\n".join(",".join(map(str, row)) for row in [header, *rows]) + "\n"


# --- small files of the same shape

NIST_HEADER = ["TIME", "TCA_1", "TCB_1", "SMA_1 ", "SMB_4", "SMB_3", "GASA_1", "GASA_3", "CO2A"]


def make_nist(folder: Path) -> None:
    quiet = [[f"{2 + 10 * i}.0", "2.00E+01", " 21", 0.05, 9, 0, 0.01, 0.1, 512] for i in range(8)]
    fire = ["82.0", "5.00E+01", " 22", 0.25, 9, 0.012, 0.02, 0.3, 900]
    (folder / "SDC02.csv").write_text(table(NIST_HEADER, *quiet, fire))
    alarms = [[0, 0, 0, 0], [40, 0, 1, 0], [41, 1, 1, 0], [60, 1, 1, 1]]
    header = ["Time", "Ion1A", "Ion3A", "Pho1A"]
    (folder / "Activation_Times_SDC02.csv").write_text(table(header, *alarms))
    (folder / "SCENARIOS_derived.csv").write_text(
        "test,type,source,t_dT5,t_dT20,t_OD05,t_OD14,good_CO,good_CO2,good_OD\n"
        'SDC02,smoldering,"chair, room",,82.0,82.0,,,A,AB\n'
    )


def make_uhoo(folder: Path) -> None:
    lines = [
        f"2018-06-04 00:{minute:02d},24.3,69.69,7.89,127,476,0,997,8,0,{meal},{stove}"
        for minute, meal, stove in [
            (0, "None", 0),
            (1, "None", 1),
            (1, "None", 0),  # the same minute again
            (2, "Lunch", 1),
            (3, "None", 0),
            (20, "None", 1),  # after a gap
        ]
    ]
    (folder / "1.csv.gz").write_bytes(gzip.compress("\n".join(lines).encode()))


def make_nazir(folder: Path) -> None:
    header = ["Time", "Reading ID", " Humidity", "Temperature ", "MQ139", "TVOC", "eCO2"]
    rows = [
        ["23:59:58", 1, 43.5, 21.3, 98, 0, 400, "OFF", 0],
        ["23:59:59", 2, 43.5, 21.3, 98, 0, 400, "ON", 0],  # a false start
        ["0:00:00", 3, 43.5, 21.3, 98, 0, 500, "OFF", 1],
        ["0:00:02", 4, 43.5, 21.4, 98, 0, 57330, "ON", 2],
    ]
    (folder / "carton_1.csv").write_text(table([*header, "Detector", "Status"], *rows))


def make_fsri(folder: Path) -> None:
    header = [
        "Time",
        "Bedroom 3 Temperature 0.3 m Above Floor",
        "Bedroom 3 Temperature 2.41 m Above Floor",
        "Basement B Quadrant Temperature 2.72 m Above Floor",
        "Attic Temperature 1.83 m Above Floor",
        "Basement Carbon Dioxide 1.22 m Above Floor",
        "Bedroom 3 Carbon Dioxide 1.22 m Above Floor",
    ]
    rows = [[time, 20, 21 + time, 30, 40, 0.03, 0.01] for time in range(-2, 1)]
    rows.append([1, 20, 90, 30, 40, "", 0.11])
    for number in (1, 2, 10):
        text = table(header, *rows)
        (folder / f"Gas_Burner_Experiment_{number}.csv").write_text(text)
    zipped = gzip.compress(b"a twin that is not read")
    (folder / "Gas_Burner_Experiment_1.csv.gz").write_bytes(zipped)


def make_nrc(folder: Path) -> None:
    header = ["Time      "]
    header += [f"Tree {tree}-{height}  " for tree in range(1, 8) for height in range(1, 11)]
    header += ["O2-1", "CO-3", "CO2-4", "Smoke Conc."]
    trees = [20 + height for _ in range(7) for height in range(1, 11)]
    first, later = list(trees), list(trees)
    first[39], later[39] = 999.0, 0.0  # Tree 4-10 is missing, which only the first row says
    rows = [
        ["-.6000000000E+02", *first, 0.209, 999.0, 0.0004, -0.5],
        ["-50.0", *later, 0.209, 0.0, 0.0004, -0.5],
        ["-40.0", *later, "", "", "", 0.0],
        ["10.0", *later, 0.209, 0.0, 0.0104, 0.1],
    ]
    (folder / "NIST_NRC_Test_01_file_1.csv").write_text(table(header, *rows))


def make_office(folder: Path) -> None:
    lines = ['"date","Temperature","Humidity","Light","CO2","HumidityRatio","Occupancy"']
    lines += [f'"{n}","2015-02-02 14:{18 + n}:00",23.{n},26.3,585,749.2,0.0048,1' for n in (1, 2)]
    (folder / "datatest.txt").write_text("\n".join(lines) + "\n")


def make_room(folder: Path) -> None:
    header = ["Date", "Time", "S1_Temp", "S2_Temp", "S1_Sound", "S5_CO2"]
    rows = [["2017-12-22", "23:59:34", 24.94, 24.75, 0.08, 390],
            ["2017-12-23", "0:00:04", 25, 24.75, 0.93, 395]]  # fmt: skip
    (folder / "Occupancy_Estimation.csv").write_text(table(header, *rows))


MAKERS: dict[str, Callable[[Path], None]] = {
    "nist_home_smoke_alarms": make_nist,
    "uhoo_homes": make_uhoo,
    "nazir_lab_fire": make_nazir,
    "fsri_hvac_gasburner": make_fsri,
    "nist_nrc_compartment": make_nrc,
    "uci_occupancy": make_office,
    "uci_room_occupancy_sound": make_room,
}


def read_made(name: str, folder: Path) -> list[Published]:
    MAKERS[name](folder)
    return list(read_published(name, folder))


@pytest.mark.parametrize("name", PUBLISHERS)
def test_every_source_says_where_it_comes_from(name: str, tmp_path: Path):
    source = PUBLISHERS[name]
    assert source.description
    assert source.licence
    assert source.citation
    with pytest.raises(InputError, match="none of the files; allowed: files named"):
        next(read_published(name, tmp_path))
    with pytest.raises(InputError, match="no such folder"):
        next(read_published(name, tmp_path / "none"))
    for published in read_made(name, tmp_path):
        assert published.recording.times_s[0] == 0
        assert published.kind


def test_an_unknown_source_is_refused(tmp_path: Path):
    with pytest.raises(InputError, match="no reader named 'nist'; allowed: nist_home_smoke_alarms"):
        read_published("nist", tmp_path)


def test_a_raw_file_without_a_column_is_refused(tmp_path: Path):
    (tmp_path / "carton_1.csv").write_text("Time,Humidity\n0:00:00,40\n")
    with pytest.raises(InputError, match=r"carton_1\.csv, row 1: no column Temperature"):
        next(read_published("nazir_lab_fire", tmp_path))
    (tmp_path / "carton_1.csv").write_text(
        "Time,Humidity,Temperature,eCO2,Detector,Status\nnoon,40,20,400,OFF,0\n"
    )
    with pytest.raises(InputError, match="row 2, column Time: no time; allowed: h:mm:ss"):
        next(read_published("nazir_lab_fire", tmp_path))


@pytest.mark.parametrize(
    ("name", "files", "said"),
    [
        ("nist_home_smoke_alarms", {"SDC01.csv": "TIME,X\n0,1\n10,2\n"}, "no sensor that is known"),
        ("nist_home_smoke_alarms", {"SDC01.csv": "TIME,SMA_1\n0,1\n10,2\n"}, "no temperature"),
        (
            "nist_home_smoke_alarms",
            {"SDC01.csv": "TIME,TCA_1\n0,1\n", "SCENARIOS_derived.csv": "test,x\nSDC01,1\n"},
            "SCENARIOS_derived.csv: no column type",
        ),
        (
            "fsri_hvac_gasburner",
            {"Gas_Burner_Experiment_1.csv": "Time,X\n0,1\n10,2\n"},
            "no sensor that is known",
        ),
    ],
)
def test_a_raw_file_of_something_else_is_one_line(
    name: str, files: dict[str, str], said: str, tmp_path: Path
) -> None:
    """A traceback of polars or numpy ended `data convert` and `evaluate --real`."""
    for file, text in files.items():
        (tmp_path / file).write_text(text)
    with pytest.raises(InputError, match=said) as error:
        list(read_published(name, tmp_path))
    assert "\n" not in str(error.value)


def test_nist_home_smoke_alarms(tmp_path: Path):
    (fire,) = read_made("nist_home_smoke_alarms", tmp_path)
    readings = fire.recording.readings
    assert (fire.recording.name, fire.kind) == ("SDC02", "smouldering")
    assert fire.recording.sensors == ("A", "B")
    assert fire.references == {
        "t_peak": 80,
        "t_dT20": 80,  # the files' clock starts at 2 s, the recording's at 0
        "t_OD05": 80,
        "t_ion": 38,
        "t_photo": 58,
    }
    assert readings[-1, 0, TEMPERATURE] == 50
    assert readings[:, 0, PM25].tolist() == [8] * 8 + [1000]  # clipped
    assert readings[0, 0, CO2] == 450
    assert readings[-1, 0, CO2] == pytest.approx(450 + 2000)
    assert np.isnan(readings[:, 0, CO]).all()  # no station is marked usable
    assert "GASA_1 left out: not marked usable" in fire.notes
    assert readings[-1, 1, PM25] == 1000  # SMB_3, since there is no SMB_1


def test_nist_without_the_table_of_usable_stations_keeps_all(tmp_path: Path):
    make_nist(tmp_path)
    (tmp_path / "SCENARIOS_derived.csv").unlink()
    (fire,) = read_published("nist_home_smoke_alarms", tmp_path)
    assert fire.kind == "unknown"
    assert set(fire.references) == {"t_peak", "t_ion", "t_photo"}
    assert fire.recording.readings[-1, 0, CO] == 100
    assert "no SCENARIOS_derived.csv: all stations kept" in fire.notes[0]


def test_uhoo_homes(tmp_path: Path):
    (home,) = read_made("uhoo_homes", tmp_path)
    assert home.kind == "home"
    assert home.recording.times_s.tolist() == [0, 60, 120, 180, 1200]
    channels = [TEMPERATURE, HUMIDITY, PM25, CO2, CO]
    np.testing.assert_array_equal(
        home.recording.readings[0, 0, channels], np.float32([24.3, 69.69, 7.9, 476, 0])
    )
    assert home.stove == ((60, 180), (1200, 1260))
    assert home.check.notes[-1] == "1 row came twice, cell for cell: dropped"
    assert home.check.gaps[0].length_s == 1020
    assert home.recording.start is not None
    assert home.recording.start.tzinfo is None


def test_nazir_lab_fire(tmp_path: Path):
    (fire,) = read_made("nazir_lab_fire", tmp_path)
    assert fire.recording.times_s.tolist() == [0, 1, 2, 4]  # over midnight
    assert fire.references == {"t_detector": 4, "t_status_1": 2, "t_status_2": 4}
    assert fire.recording.readings[-1, 0, CO2] == 57330
    assert "eCO2" in fire.notes[0]


def test_fsri_hvac_gasburner(tmp_path: Path):
    first, second, tenth = read_made("fsri_hvac_gasburner", tmp_path)
    assert tenth.recording.name == "Gas_Burner_Experiment_10"  # after 2, and the plain twin of 1
    assert second.recording.sensors == ("Bedroom 3", "Basement B Quadrant")
    assert second.references == {"t_ignition": 2, "t_dT20": 3, "t_peak": 3}
    assert second.recording.readings[:, 0, TEMPERATURE].tolist() == [19, 20, 21, 90]
    assert second.recording.readings[:, 0, CO2].tolist() == [450, 450, 450, 1450]
    assert second.check.channels["co2"].missing == 1
    assert np.isnan(first.recording.readings[:, 0, CO2]).all()
    assert any("Bedroom 3 Carbon Dioxide" in note for note in first.notes)


def test_nist_nrc_compartment(tmp_path: Path):
    (fire,) = read_made("nist_nrc_compartment", tmp_path)
    recording = fire.recording
    assert recording.name == "NIST_NRC_Test_01"
    assert recording.sensors == (*(f"Tree {n}" for n in range(1, 8)), "Gas")
    assert fire.references == {"t_ignition": 60, "t_peak": 0}  # nothing gets warmer
    assert recording.readings[:, 3, TEMPERATURE].tolist() == [29] * 4  # Tree 4-9
    assert recording.readings[:, 2, TEMPERATURE].tolist() == [30] * 4
    assert recording.readings[:, 7, PM25].tolist() == [8, 8, np.float32(508), np.float32(608)]
    assert recording.readings[-1, 7, CO2] == pytest.approx(10_450)
    assert np.isnan(recording.readings[:, :, CO]).all()
    assert {"Tree 4-10 left out: missing", "CO-3 left out: missing"} < set(fire.notes)


def test_the_offices(tmp_path: Path):
    (office,) = read_made("uci_occupancy", tmp_path)
    assert (office.recording.name, office.kind) == ("datatest", "office")
    assert office.recording.times_s.tolist() == [0, 60]
    row = office.recording.readings[1, 0]
    assert row[[TEMPERATURE, CO2, HUMIDITY]] == pytest.approx([23.2, 749.2, 26.3])
    (room,) = read_made("uci_room_occupancy_sound", tmp_path)
    assert room.recording.times_s.tolist() == [0, 30]  # over midnight, where hours have one digit
    assert room.recording.readings[1, 0, [TEMPERATURE, CO2]].tolist() == [25, 395]


def test_a_fire_that_begins_in_a_hot_room_is_measured_from_there():
    times_s = np.arange(-120.0, 120.0, 10.0)
    hot = np.where(times_s < 0, 58.0, 58.0 + times_s / 2)  # +20 K after 40 s
    cold = np.full(len(times_s), np.nan)
    cold[-3:] = 90.0  # says nothing before the fire, so how far it rose is not known
    sensors = {"a": {TEMPERATURE: hot}, "b": {TEMPERATURE: cold}}
    recording, _ = to_recording(Path("x.csv"), times_s, sensors)
    assert ignited(recording, 120.0) == {"t_ignition": 120.0, "t_dT20": 160.0, "t_peak": 230.0}


def test_optical_density_to_pm25_by_hand():
    times_s = np.array([0.0, 30, 60, 90, 120, 150])
    density = np.array([0.001, 0.001, 0.001, 0.0129, 0.013, np.nan])
    pm25 = optical_density_to_pm25(times_s, density)
    # 0.012/m x 2.302585 / 8.7 m2/g = 3,176 ug/m3, far over the ceiling
    assert pm25[:5].tolist() == [8, 8, 8, 8, 1000]
    assert np.isnan(pm25[5])


@pytest.mark.parametrize(("kind", "expected"), [("flaming", 272.7), ("smouldering", 531.3)])
def test_smouldering_smoke_of_one_density_is_twice_the_mass(monkeypatch, kind, expected):
    # no noise, so that the ceiling does not hide the mass
    monkeypatch.setattr("saafe.readers.published.OPTICAL_DENSITY_NOISE", 0.0)
    times_s, density = np.array([0.0, 30, 60, 90]), np.array([0.0, 0, 0, 0.001])
    pm25 = optical_density_to_pm25(times_s, density, kind=kind)
    assert pm25[-1] == pytest.approx(expected, abs=0.1)  # 0.001/m x 2.302585 / 8.7 or 4.4 m2/g + 8


def test_smoke_to_pm25_by_hand():
    times_s = np.array([0.0, 60, 61, 62, 63])
    smoke = np.array([0.5, 0.5, 0.4, 0.6, 400.0])
    assert smoke_to_pm25(times_s, smoke) == pytest.approx([8, 8, 8, 108, 1000])


# --- the real ones


@pytest.fixture(scope="session")
def real() -> Callable[[str], list[Published]]:
    def read(name: str) -> list[Published]:
        if not (REAL / name).is_dir():
            pytest.skip(f"needs the recordings: no folder {REAL.name}/{name}")
        return list(read_published(name, REAL / name))

    return read


@pytest.mark.real
def test_real_house_fires(real: Callable[[str], list[Published]]):
    fires = real("nist_home_smoke_alarms")
    kinds = [fire.kind for fire in fires]
    assert [kinds.count(kind) for kind in ("flaming", "smouldering", "cooking oil")] == [6, 6, 2]
    assert sum("t_ion" in fire.references for fire in fires) == 6
    assert all(len(fire.recording.sensors) == 6 for fire in fires)
    by_name = {fire.recording.name: fire for fire in fires}
    assert by_name["SDC05"].references["t_dT20"] == 80  # 82 s on a clock that starts at 2 s
    assert by_name["SDC02"].references["t_ion"] == 24
    assert "t_dT20" not in by_name["SDC01"].references
    for fire in fires:
        peak = np.nanmax(fire.recording.readings[:, :, TEMPERATURE])
        time = np.searchsorted(fire.recording.times_s, fire.references["t_peak"])
        assert np.nanmax(fire.recording.readings[time, :, TEMPERATURE]) == peak


@pytest.mark.real
def test_real_homes(real: Callable[[str], list[Published]]):
    homes = real("uhoo_homes")
    assert [len(home.stove) for home in homes] == [39, 33, 62, 2]
    assert sum(len(home.stove) for home in homes) == 136
    repeated = [int(home.check.repairs[0].split()[4]) for home in homes]
    assert sum(home.check.rows for home in homes) + sum(repeated) == 133_655
    assert all(home.check.period_s == 60 for home in homes)


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "count", "reference"),
    [
        ("nazir_lab_fire", 8, "t_detector"),
        ("fsri_hvac_gasburner", 29, "t_ignition"),
        ("nist_nrc_compartment", 15, "t_ignition"),
    ],
)
def test_real_others(name: str, count: int, reference: str, real: Callable[[str], list[Published]]):
    fires = real(name)
    assert len(fires) == count
    for fire in fires:
        assert 0 < fire.references[reference] < fire.recording.times_s[-1]
        if reference == "t_ignition":
            assert fire.references["t_ignition"] < fire.references["t_dT20"]
            assert fire.references["t_dT20"] <= fire.references["t_peak"]
        assert np.isfinite(fire.recording.readings[:, :, TEMPERATURE]).any(axis=0).sum() >= 1


@pytest.mark.real
def test_real_offices(real: Callable[[str], list[Published]]):
    offices = [*real("uci_occupancy"), *real("uci_room_occupancy_sound")]
    assert [office.check.rows for office in offices] == [9752, 2665, 8143, 10_129]
    assert [office.check.period_s for office in offices] == [60, 60, 60, 31]
