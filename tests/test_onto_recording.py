"""overlays: simulated fires on recorded and on simulated backgrounds."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from saafe.cli import saafe
from saafe.cli.simulate import meter_end
from saafe.errors import InputError
from saafe.recordings import superpose
from saafe.recordings.recording import Recording, read_recording, write_recording
from saafe.recordings.superpose import Home, Rise
from saafe.sensors import (
    CHANNELS,
    CO,
    CO2,
    FIRE,
    HUMIDITY,
    NORMAL,
    NUISANCE,
    PM25,
    SOUND,
    TEMPERATURE,
    UNKNOWN,
)
from saafe.simulator import onto_recording, simulation
from saafe.simulator.labels import VISIBLE
from saafe.simulator.onto_recording import SimulatedFire

LEAD = superpose.LEAD_S


def make_background(hours=12.0, period_s=60.0, gap=None) -> Recording:
    """A home without CO and sound, whose particles ended at 190 once."""
    times = np.arange(0.0, hours * 3600.0, period_s)
    if gap:
        times = times[(times <= gap[0]) | (times >= gap[1])]
    readings = np.full((len(times), 1, len(CHANNELS)), np.nan, dtype=np.float32)
    readings[:, 0, TEMPERATURE] = 20.0 + np.arange(len(times)) % 7 / 10.0
    readings[:, 0, PM25] = 8.0
    readings[3, 0, PM25] = 190.0
    readings[:, 0, CO2] = 600.0
    readings[:, 0, HUMIDITY] = 40.0
    return Recording("home", times, ("kitchen",), readings)


def make_fire(length=200, state=FIRE) -> SimulatedFire:
    """0.1 K, 10 ug/m3 and 1 % drier with every ten seconds; the last hundred smoulder unseen."""
    values = np.zeros((length, len(CHANNELS)), dtype=np.float32)
    count = np.arange(length, dtype=np.float32)
    values[:, TEMPERATURE] = 0.1 * count
    values[:, PM25] = 10.0 * count
    values[:, HUMIDITY] = -count
    values[:, CO] = 1000.0
    rise = Rise(4.0 + 10.0 * np.arange(length), values)
    return SimulatedFire("curtain", rise, np.full(length, state, dtype=np.int8))


def put(
    fire: SimulatedFire, background: Recording, seed=0
) -> onto_recording.SimulatedSuperposition:
    return onto_recording.superpose_one(
        fire, Home(background, ()), np.random.default_rng(seed), name="one"
    )


def plain_of(made: onto_recording.SimulatedSuperposition, background: Recording) -> np.ndarray:
    rows = np.searchsorted(background.times_s, made.start_s + made.recording.times_s - 1e-6)
    return background.readings[rows, 0]


def test_the_rise_is_added_where_it_belongs_and_held_at_the_homes_period() -> None:
    background, fire = make_background(), make_fire()
    made = put(fire, background)
    recording, plain = made.recording, plain_of(made, background)
    assert LEAD - 60.0 <= made.fire_s <= LEAD
    assert (np.diff(recording.times_s) == 60.0).all()
    since = recording.times_s - made.fire_s
    step = np.floor((since - 4.0) / 10.0)  # the newest that the fire had shown by then
    step = np.where(step < 0, 0, np.minimum(step, 199))
    got = recording.readings[:, 0]
    assert got[since < 0] == pytest.approx(plain[since < 0], nan_ok=True, abs=0)
    assert got[:, TEMPERATURE] - plain[:, TEMPERATURE] == pytest.approx(0.1 * step, abs=1e-4)
    assert got[:, CO2] == pytest.approx(plain[:, CO2], abs=0)
    assert recording.times_s[-1] - made.fire_s > fire.rise.times_s[-1] - 60.0


def test_a_reading_ends_at_the_cap_and_at_its_range() -> None:
    background = make_background()
    made = put(make_fire(), background)
    got = made.recording.readings[:, 0]
    step = np.floor((made.recording.times_s - made.fire_s - 4.0) / 10.0).clip(0)
    assert got[:, PM25] == pytest.approx(np.minimum(8.0 + 10.0 * step, 190.0).clip(8.0), abs=1e-3)
    assert got[:, PM25].max() == 190.0
    assert got[:, HUMIDITY].min() == 0.0
    assert np.isnan(got[:, [CO, SOUND]]).all(), "channels that the home does not have"


def test_no_particle_sensor_no_cap() -> None:
    background = make_background()
    background.readings[..., PM25] = np.nan
    made = put(make_fire(), background)
    assert np.isnan(made.recording.readings[:, 0, PM25]).all()
    assert onto_recording.describe_superposed(made, background)["pm25_cap_ug_m3"] is None


def test_labels_wait_until_the_fire_shows() -> None:
    background, fire = make_background(), make_fire()
    background.readings[:, 0, PM25] = np.nan  # so that temperature alone decides: 3 K, step 31
    fire.state[-100:] = UNKNOWN  # burnt out
    made = put(fire, background)
    since, labels = made.recording.times_s - made.fire_s, made.recording.labels
    assert labels is not None
    ignited, shown, out = since >= 4.0, since >= 4.0 + 310.0, since >= 4.0 + 1000.0
    assert VISIBLE[TEMPERATURE] == 3.0
    assert (labels[~ignited] == NORMAL).all()
    assert (labels[ignited & ~shown] == UNKNOWN).all()
    assert (labels[shown & ~out] == FIRE).all()
    assert (labels[out] == UNKNOWN).all()
    assert [x.any() for x in (~ignited, ignited & ~shown, shown & ~out, out)] == [True] * 4
    assert made.visible_s == made.recording.times_s[np.argmax(shown)]


def test_a_rise_that_the_cap_hides_is_no_visible_fire() -> None:
    background, fire = make_background(), make_fire()
    background.readings[3, 0, PM25] = 100.0  # 92 above the home's 8: under what is visible
    fire.rise.values[:, TEMPERATURE] = 0.0
    assert put(fire, background).visible_s is None
    background.readings[3, 0, PM25] = 110.0
    assert put(fire, background).visible_s is not None


def test_it_is_declared() -> None:
    background = make_background()
    background = replace(background, sources=("stove",) * len(background.times_s))
    made = put(make_fire(), background)
    assert made.recording.sources is not None
    for time, source in zip(made.recording.times_s, made.recording.sources, strict=True):
        assert source == ("superposed: curtain" if time >= made.fire_s else "stove")


def test_a_backgrounds_own_labels_stay_until_the_fire() -> None:
    background = make_background()
    labels = np.full((len(background.times_s), 1), NUISANCE, dtype=np.int8)
    made = put(make_fire(), replace(background, labels=labels))
    assert made.recording.labels is not None
    assert (made.recording.labels[made.recording.times_s < made.fire_s] == NUISANCE).all()
    assert made.recording.labels[-1] == FIRE


def test_simulated_rises_are_what_the_fire_alone_adds() -> None:
    def world():
        generator = torch.Generator().manual_seed(5)
        return simulation.draw_world(
            6, simulation.StreamSettings(1.0, 1, onto_recording.fire_mix(())), generator
        )

    fires = onto_recording.simulate_fires(
        6, 1.0, onto_recording.fire_mix(()), torch.Generator().manual_seed(5)
    )
    drawn = world()
    truth = simulation.play(drawn, simulation.runs_needed(drawn.events, labelled=True)).truth
    without = world()
    for rates in without.events.rates[:1]:
        rates.zero_()
    calm = simulation.play(without, simulation.runs_needed(without.events, labelled=True)).truth
    for k, fire in enumerate(fires):
        first = int(np.ceil(float(drawn.events.ignition_s[k]) / 10.0))
        assert fire.rise.times_s[0] == pytest.approx(
            10.0 * first - float(drawn.events.ignition_s[k]), abs=1e-3
        )
        assert not (truth - calm)[:first, k, 0, PM25].any(), "nothing before ignition"
        expected = (truth - calm)[first:, k, 0].numpy().copy()
        expected[:, SOUND] = 0.0
        scale = np.abs(expected).max(axis=0) + 1.0
        assert fire.rise.values / scale == pytest.approx(expected / scale, abs=1e-4)
        assert fire.rise.values[:, PM25].max() > 0.0
        assert set(fire.state.tolist()) <= {NUISANCE, FIRE, UNKNOWN}


def test_overlays_are_seeded() -> None:
    def make(seed: int) -> list[onto_recording.SimulatedSuperposition]:
        return list(
            onto_recording.superpose_simulated(make_background(24.0), 3, seed=seed, hours=1.0)
        )

    first, again, other = make(4), make(4), make(5)
    apart = [abs(a.start_s - b.start_s) for a, b in zip(first, other, strict=True)]
    assert max(apart) > 2 * 3600.0, "other seeds draw other moments, not only other fires"
    for one, two in zip(first, again, strict=True):
        assert np.array_equal(one.recording.readings, two.recording.readings, equal_nan=True)
        assert (one.recording.name, one.recording.sources) == (
            two.recording.name, two.recording.sources
        )  # fmt: skip
    assert [one.start_s for one in first] != [one.start_s for one in other]
    assert len({one.start_s for one in first}) == 3


def test_the_first_sensor_is_taken_where_it_reads() -> None:
    wide = make_background(8.0, period_s=30.0)
    readings = np.concatenate([wide.readings, wide.readings + 5.0], axis=1)
    readings[1::2, 0] = np.nan  # the first reports every minute, the second every half
    wide = replace(wide, sensors=("kitchen", "hall"), readings=readings)
    (made,) = onto_recording.superpose_simulated(wide, 1, seed=0, hours=1.0, names=("curtain",))
    assert made.recording.sensors == ("kitchen",)
    assert (np.diff(made.recording.times_s) == 60.0).all()
    lead = made.recording.times_s < made.fire_s
    assert made.recording.readings[lead, 0, CO2].tolist() == [600.0] * int(lead.sum())


def burning() -> Recording:
    background = make_background()
    labels = np.zeros((len(background.times_s), 1), dtype=np.int8)
    labels[7] = FIRE
    return replace(background, labels=labels)


def silent() -> Recording:
    background = make_background()
    readings = np.concatenate([np.full_like(background.readings, np.nan), background.readings], 1)
    return replace(background, sensors=("kitchen", "hall"), readings=readings)


@pytest.mark.parametrize(
    ("background", "names", "said"),
    [
        (make_background(3.5), (), "lasts 3.5 h; needed are more than 4 h"),
        (make_background(7.0, gap=(12_600.0, 13_000.0)), (), "no 4 h without a gap over 300 s"),
        (burning(), (), "holds rows labelled fire"),
        (silent(), (), "sensor kitchen: lasts 0.0 h"),
        (make_background(), ("curtain", "frying"), "--source frying: --onto takes fires only"),
        (make_background(), ("dragon",), "source 'dragon' is unknown; choose from"),
        (make_background(), ("curtian",), "source 'curtian' is unknown; did you mean curtain?"),
    ],
)
def test_what_does_not_fit_is_said_at_once(
    background: Recording, names: tuple[str, ...], said: str
) -> None:
    with pytest.raises(InputError) as raised:
        onto_recording.superpose_simulated(background, 1, seed=0, hours=1.0, names=names)
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_gap_that_can_be_avoided_is() -> None:
    background = make_background(12.0, gap=(3 * 3600.0, 3.5 * 3600.0))
    for made in onto_recording.superpose_simulated(background, 20, seed=0, hours=1.0):
        assert np.diff(made.recording.times_s).max() == 60.0


# --- the command ------------------------------------------------------------------------------


def simulate(folder: Path, *arguments: str) -> list[dict]:
    done = CliRunner().invoke(saafe, ["simulate", "--json", "--out", str(folder), *arguments])
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def assert_documented(rows: list[dict]) -> None:
    """Every field of scenarios.json stands in a table of docs/simulator.md."""
    text = (Path(__file__).parents[1] / "docs" / "simulator.md").read_text()
    fields = set(re.findall(r"^\| `(\w+)`", text, re.MULTILINE))
    assert {name for row in rows for name in row} <= fields


def test_the_command_puts_fires_on_a_recorded_home(tmp_path: Path) -> None:
    write_recording(make_background(), tmp_path / "home.csv")
    words = (
        "--scenarios 2 --set hours=1 --set format=csv --source flaming_foam "
        f"--onto {tmp_path}/home.csv"
    )
    rows = simulate(tmp_path / "out", *words.split())
    assert rows == json.loads((tmp_path / "out" / "scenarios.json").read_text())
    assert [row["file"] for row in rows] == ["superposed-00000.csv", "superposed-00001.csv"]
    simulate(tmp_path / "again", *words.split())
    assert_documented(rows)
    for row in rows:
        assert (row["background"], row["pm25_cap_ug_m3"]) == ("home", 190.0)
        path = tmp_path / "out" / row["file"]
        assert path.read_bytes() == (tmp_path / "again" / row["file"]).read_bytes()
        recording, _ = read_recording(path)
        assert recording.sources is not None
        assert recording.sources[0] == ""
        assert recording.sources[-1] == "superposed: flaming_foam"
        assert recording.labels is not None
        assert recording.labels[0, 0] == NORMAL


def test_the_command_puts_fires_on_a_simulated_background(tmp_path: Path) -> None:
    words = "--scenarios 1 --set hours=6 --source frying --seed 2 --set format=parquet"
    (row,) = simulate(tmp_path, *words.split())
    assert_documented([row])
    background, _ = read_recording(tmp_path / row["file"])
    onto = f"--scenarios 1 --set hours=1 --source curtain --onto {tmp_path / row['file']}"
    (made,) = simulate(tmp_path / "out", *onto.split())
    recording, _ = read_recording(tmp_path / "out" / made["file"])
    assert (made["background"], recording.sensors) == (background.name, background.sensors[:1])
    lead = recording.times_s < made["ignition_s"]
    rows = np.searchsorted(background.times_s, made["background_s"] + recording.times_s[lead])
    assert lead.sum() > 100
    assert np.array_equal(recording.readings[lead, 0], background.readings[rows, 0], equal_nan=True)
    assert recording.sources is not None
    assert recording.sources[-1] == "superposed: curtain"


@pytest.mark.parametrize("change", ["sensors=2", "times=2"])
def test_the_command_takes_the_backgrounds_sensor_and_instrument(
    tmp_path: Path, change: str
) -> None:
    write_recording(make_background(), tmp_path / "home.csv")
    words = ["simulate", "--out", str(tmp_path / "out"), "--set", change, "--onto"]
    done = CliRunner().invoke(saafe, [*words, str(tmp_path / "home.csv")])
    assert isinstance(done.exception, InputError)
    assert f"--set {change.split('=')[0].strip()}: --onto takes" in str(done.exception)
    assert not (tmp_path / "out").exists()


def test_the_docs_name_the_fields_that_onto_takes_and_refuses() -> None:
    page = Path(__file__).parents[1] / "docs" / "simulator.md"
    text = " ".join(page.read_text().split())
    assert "`--set sensors=` and `--set times=` are not for it" in text
    assert "`--set device=FILE` gives the meter's own end" in text


def test_the_cap_of_pm25_is_said_or_the_devices(capsys: pytest.CaptureFixture[str]) -> None:
    readings = np.full((9, 1, 6), np.nan, np.float32)
    readings[:, 0, 1] = 300.0
    home = Recording("home", 10.0 * np.arange(9), ("A",), readings)
    assert meter_end("home.csv", home, "anything") == 300.0
    assert "ends at 300 ug/m3" in capsys.readouterr().err
    assert meter_end("home.csv", home, "saafe-6") == 1000.0
    assert capsys.readouterr().err == ""
    with pytest.raises(InputError, match=r"has no PM2\.5"):
        meter_end("home.csv", home, "aosong-dht22")
