"""Devices side by side: equal ones have equal figures, and people read what was found."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from saafe.cli import saafe
from saafe.cli.devices import show_comparison
from saafe.detector import AlarmSettings, Scorer
from saafe.errors import InputError
from saafe.exam import comparison_picture
from saafe.exam.device_comparison import ComparisonPlan, compare_devices, told_apart
from saafe.sensors import PM25, TEMPERATURE
from saafe.simulator import sources
from saafe.simulator.devices.catalogue import load_device
from saafe.simulator.devices.device import to_toml

FIRES = ("smouldering_foam", "curtain", "overheating_oil")  # a kind of each way to begin
NUISANCES = ("smoking_pan", "shower")


def reactive(windows: np.ndarray) -> np.ndarray:
    """Risk by the newest temperature and particles, which is enough to alarm now and then."""
    warm = np.nan_to_num(windows[:, -1, 0, TEMPERATURE])
    return np.clip(warm + np.nan_to_num(windows[:, -1, 0, PM25]) / 4.0, 1.0, 99.9)


@pytest.fixture(scope="module")
def few() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        for name, kinds in (("FIRES", FIRES), ("NUISANCES", NUISANCES)):
            patch.setattr(sources, name, tuple(sources.SOURCES[kind] for kind in kinds))
        yield


@pytest.fixture(scope="module")
def compared(few: None, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A device, the same one out of a file, and a thermometer."""
    file = tmp_path_factory.mktemp("devices") / "twin.toml"
    text = to_toml(load_device("saafe-6"))
    file.write_text(re.sub(r'^name = ".*"', 'name = "twin"', text, flags=re.MULTILINE))
    said: list[str] = []
    plan = ComparisonPlan(Scorer(reactive, AlarmSettings()), fires=2, nuisances=1, quiet=1)
    found = compare_devices(["saafe-6", str(file), "sonoff-snzb-02"], plan, on_progress=said.append)
    assert [line.split(" in ")[0] for line in said] == [
        f"{name}: {k} of 5" for k, name in enumerate((*FIRES, *NUISANCES), start=1)
    ]
    return found


def test_equal_devices_have_equal_figures(compared: dict[str, Any]) -> None:
    one, twin, other = compared["devices"]
    assert [row["device"] for row in compared["devices"]] == ["saafe-6", "twin", "sonoff-snzb-02"]
    assert {**one, "device": "twin"} == twin
    assert one["fires"] == other["fires"] == 2 * len(FIRES), "the same fires"
    assert other["not_shown"] >= one["not_shown"], "fewer channels show no more"


def test_parts_add_up_to_the_whole(compared: dict[str, Any]) -> None:
    outcomes = ("in_time", "late", "early", "missed")
    for row in compared["devices"]:
        assert sum(row[name] for name in outcomes) == row["fires"]
        for parts in ("by_mode", "by_kind", "by_room"):
            for name in outcomes:
                assert sum(part[name] for part in row[parts].values()) == row[name]
        assert row["nuisances"].keys() == set(NUISANCES)
        cookings = row["alarms_per_100_cookings"]
        assert cookings["n"] == row["nuisances"]["smoking_pan"]["events"] == 1
        # one kind of cooking alone: its rate is the whole's
        assert cookings["value"] == 100 * row["nuisances"]["smoking_pan"]["alarms"]
        for figure in (cookings, *row["alarms_per_year"].values()):
            assert figure["lower"] <= figure["value"] <= figure["upper"]
        for name, figure in row["not_later_than"].items():
            assert figure["n"] <= row["fires"], name
    for alarm in compared["reference_alarms"]:
        assert alarm["in_time"]["n"] == 2 * len(FIRES)
        assert sum(part["n"] for part in alarm["by_mode"].values()) == 2 * len(FIRES)


@pytest.mark.parametrize("columns", [40, 80, 120])
def test_the_tables_hold_every_device_alarm_and_kind(
    compared: dict[str, Any], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
    columns: int,
) -> None:  # fmt: skip
    monkeypatch.setenv("COLUMNS", str(columns))
    show_comparison(compared)
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= columns
    assert not re.search(r"\de-\d", out), "no exponents"
    fires, alarms, kinds = re.split(r"^false alarms$|^ *fires in time, by.*$", out, flags=re.M)
    names = [row["device"] for row in compared["devices"]]
    names += [f"{alarm} alarm" for alarm in ("photo", "ionisation", "heat", "co")]
    for name in names:
        for part in (fires, alarms):
            assert len(re.findall(rf"^ *{name}\b(?!-)", part, flags=re.M)) == 1, name
    for header in ("in time", "unseen", "no later"):
        assert f"{header}:" in " ".join(fires.split()), "what it means stands below"
    for header in ("per 100 cookings", "a year"):
        assert f"{header}:" in " ".join(alarms.split())
    told = " ".join(kinds.split())
    for kind in FIRES:
        mine = told[told.index(kind) :]
        cells = [f"{row['by_kind'][kind]['in_time']} of 2" for row in compared["devices"]]
        assert re.findall(r"\d of 2", mine)[: len(cells)] == cells


def test_the_figures_stand_in_one_line_at_80_columns(
    compared: dict[str, Any], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    show_comparison(compared)
    lines = capsys.readouterr().out.splitlines()
    for row in compared["devices"]:
        fires, alarms = (line for line in lines if re.match(rf" {row['device']} ", line))
        assert f"{100 * row['in_time_share']:.0f} % (" in fires
        assert alarms.count("(") == 3


def test_devices_of_one_name_are_called_after_their_files() -> None:
    one = load_device("saafe-6")
    for names, told in (
        (["saafe-6", "a/mine.toml"], ["saafe-6", "mine"]),
        (["mine.toml", "second.toml"], ["mine", "second"]),
        (["a/mine.toml", "b/mine.toml", "c.toml"], ["a/mine.toml", "b/mine.toml", "c"]),
        (["mine.toml"], ["saafe-6"]),
    ):
        assert [each.name for each in told_apart([one] * len(names), names)] == told
    other = load_device("saafe-4")
    assert told_apart([one, other], ["a.toml", "b.toml"]) == [one, other]


@pytest.mark.parametrize("suffix", comparison_picture.PLOT_SUFFIXES)
def test_a_picture_is_of_the_kind_that_its_name_says(
    compared: dict[str, Any], tmp_path: Path, suffix: str
) -> None:
    start = {".png": b"\x89PNG", ".svg": b"<?xml", ".pdf": b"%PDF"}[suffix]
    comparison_picture.draw_comparison(compared, tmp_path / f"p{suffix}")
    drawn = (tmp_path / f"p{suffix}").read_bytes()
    assert drawn.startswith(start)
    if suffix == ".svg":  # text is drawn as paths, each with a comment that holds it
        for word in ("twin", "sonoff-snzb-02", "overheating oil", "photo alarm"):
            assert f"<!-- {word} -->" in drawn.decode()


def test_a_devices_name_is_no_formula(compared: dict[str, Any], tmp_path: Path) -> None:
    name = r"$\frac{a$ b"
    named = compared | {"devices": [row | {"device": name} for row in compared["devices"]]}
    comparison_picture.draw_comparison(named, tmp_path / "p.svg")
    assert f"<!-- {name} -->" in (tmp_path / "p.svg").read_text()


def test_the_figures_are_said_before_they_are_drawn(
    few: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any) -> None:
        raise InputError("no picture")

    monkeypatch.setattr(comparison_picture, "draw_comparison", fails)
    words = ["devices", "compare", "saafe-6", "--fires", "1", "--nuisances", "0", "--plot",
             str(tmp_path / "p.png")]  # fmt: skip
    for more, figure in (([], "fires in time"), (["--json"], '"in_time_share"')):
        assert figure in CliRunner().invoke(saafe, [*words, *more]).stdout


def test_the_command_says_what_the_library_finds(few: None, tmp_path: Path) -> None:
    words = ["devices", "compare", "saafe-6", "--fires", "1", "--nuisances", "0", "--seed", "3",
             "--place", "ceiling", "--room", "same", "--plot", str(tmp_path / "p.png")]  # fmt: skip
    done = CliRunner().invoke(saafe, [*words, "--json"], catch_exceptions=False)
    found = json.loads(done.stdout)
    (row,) = found["devices"]
    assert found["asked"] == {
        "model": None, "tier": None, "fires": 1, "nuisances": 0, "seed": 3, "place": "ceiling",
        "room": "same",
    }  # fmt: skip
    assert (row["fires"], row["nuisances"], row["quiet_alarms"]) == (3, {}, None)
    assert row["by_room"]["other"]["in_time"] == 0
    assert row["alarms_per_year"]["kitchen"] == {"n": 0, "value": None, "lower": 0.0, "upper": None}
    shown = CliRunner().invoke(saafe, words, catch_exceptions=False)
    assert shown.stdout.splitlines()[-1] == f"picture: {tmp_path / 'p.png'}"
    assert (tmp_path / "p.png").stat().st_size > 10_000
