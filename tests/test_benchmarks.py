"""Parts of the benchmarks that no figure would show to be broken."""

import ast
import importlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from raw_folders import write_house
from test_superpose import make_fire, make_home

from saafe.recordings.superpose import fire_rise, superpose_fires
from saafe.sensors import TEMPERATURE
from saafe.simulator.instruments import draw_instruments
from saafe.simulator.labels import VISIBLE
from saafe.simulator.scenarios import Mix
from saafe.training import data, loop
from saafe.training.model import FireTransformer

TRAIN, HELD_OUT = data.Purpose.TRAIN, data.Purpose.HELD_OUT
BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    names: list[str] = []

    def load(name: str):
        names.append(name)
        return importlib.import_module(name)

    yield load
    for name in names:
        sys.modules.pop(name, None)


def test_ablated_parts_are_what_the_simulator_asks_for(
    benchmark, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data, "PART_STREAMS", 32)  # enough to tell every part
    ablations = benchmark("ablations")
    for part, swaps in ablations.PARTS.items():
        for module, name, _ in swaps:
            assert hasattr(module, name), part

    def made(part: str, purpose: data.Purpose) -> data.WindowSet:
        with ablations.trained_without(part):
            return data.make_part(0, purpose, 0, 64, torch.device("cpu"), mix=Mix())

    whole = {purpose: made("nothing", purpose) for purpose in (TRAIN, HELD_OUT)}
    for part in ablations.PARTS:
        changed, kept = made(part, TRAIN), made(part, HELD_OUT)
        assert len(changed.labels.unique()) > 1, part
        same = torch.equal(changed.windows.nan_to_num(), whole[TRAIN].windows.nan_to_num())
        labelled = torch.equal(changed.labels, whole[TRAIN].labels)
        assert (same and labelled) == (part == "nothing"), part
        assert torch.equal(kept.windows.nan_to_num(), whole[HELD_OUT].windows.nan_to_num()), part


def test_devices_of_one_order_are_told_from_those_that_swap(benchmark) -> None:
    order = benchmark("device_order")
    assert order.ranks(np.array([0.9, 0.5, 0.5, 0.7])).tolist() == [1.0, 3.5, 3.5, 2.0]
    one, other = np.array([0.9, 0.8, 0.5]), np.array([0.95, 0.7, 0.6])
    assert order.rank_correlation(one, other) == pytest.approx(1.0)
    assert order.rank_correlation(one, -other) == pytest.approx(-1.0)
    shares = {"a": 0.7, "b": 0.8, "c": 0.5}
    assert order.swapped(["a", "b", "c"], shares) == [("a", "b")]
    document = {"devices": [{"device": "a", "in_time_share": 0.5}]}
    assert order.shares_of(document) == {"a": 0.5}


def test_clean_instruments_show_what_is_true(benchmark) -> None:
    clean = benchmark("ablations").clean_instruments(8, 2, torch.Generator().manual_seed(1))
    whole = draw_instruments(8, 2, torch.Generator().manual_seed(1))
    assert set(vars(clean)) == set(vars(whole))
    for name in ("puff_chance", "lost_chance", "drift", "gap_chance"):
        assert (getattr(clean, name) == 0.0).all(), name
    assert clean.present.all()


def test_a_composite_is_found_at_the_reading_that_shows_it(benchmark) -> None:
    shown_from = benchmark("superposed").shown_from
    home, fire = make_home(), make_fire()
    one = superpose_fires([fire], [home])[0][0]
    rise = fire_rise(fire)[:, TEMPERATURE]
    begun = fire.times_s[np.argmax(rise >= VISIBLE[TEMPERATURE])]
    first = shown_from(one, home, (0.0, None, None), {TEMPERATURE: VISIBLE[TEMPERATURE]})
    assert begun <= first <= begun + one.period_s
    assert shown_from(one, home, (first + 60.0, None, None), VISIBLE) >= first + 50.0
    assert shown_from(one, home, (0.0, None, None), {TEMPERATURE: 1e9}) == np.inf


def test_cooking_hardly_ever_trips_a_heat_alarm(benchmark) -> None:
    # 3.3 % of sensor-events while burners' heat came in bouts and clung to walls
    heat_alarms = benchmark("heat_alarms").heat_alarms
    sounded, rising, n, _ = heat_alarms("stir_frying", 128, torch.Generator().manual_seed(1))
    assert n == 512
    assert rising <= sounded <= 3


def test_cookings_have_one_answer_a_distance_sensitivity_and_alarm(benchmark) -> None:
    module = benchmark("reference_alarms")
    cookings = module.simulate_cookings(16, seed=0)
    assert cookings.sounded.shape == (16, 3, 3, len(module.REFERENCE_ALARMS))
    smoke = cookings.sounded[..., :2].int()
    assert (smoke.diff(dim=2) >= 0).all(), "a keener alarm sounds where a duller one does"
    calm = module.simulate_cookings(16, seed=0, shreds=False)
    assert torch.equal(calm.kind, cookings.kind)
    module.show(module.pooled([cookings, calm]))
    figures = module.figures_of(module.pooled([cookings, calm]))
    names = ("photo_near_ratio", "ion_near_ratio")
    assert {*names, *(f"{n}_at_{s}" for n in names for s in (0.7, 1.3))} <= set(figures)


def test_shares_of_cookings_have_wilsons_bounds(benchmark) -> None:
    # the pilot study's, as its table of facts gives them: 41 and 14 of 469
    row = benchmark("reference_alarms").row
    assert "(6.51 to 11.65)" in row("ionisation", 41, 469)
    assert "(1.79 to 4.95)" in row("photo", 14, 469)


def test_recorded_fires_are_read_as_simulated_ones(benchmark, tmp_path: Path) -> None:
    write_house(tmp_path / "house")
    found = benchmark("against_recorded").measure_recorded(tmp_path / "house")
    # temperature over the first minute's median, 2 K; one of two stations has meters
    assert found["od_at_20k"] == pytest.approx([0.09])
    assert found["co2_at_20k"] == pytest.approx([0.0])
    assert found["rise_2_to_20k_s"] == pytest.approx([90.0])
    assert found["smoulder_od05_to_od14_s"] == pytest.approx([90.0], abs=2.0)  # a step
    assert found["co_at_od14"] == pytest.approx([14.0], abs=0.2)
    assert (len(found["oil_od05_s"]), len(found["oil_ignition_s"])) == (1, 1)


def test_a_mutant_is_one_small_fault(benchmark) -> None:
    mutants = benchmark("mutants")
    source = b"def f(a: int = 3, b=True):\n    return -min(a, 2.0) if a < b and not b else 'x'\n"
    made = mutants.Sites("f.py", source).mutants()
    first, second = source.decode().splitlines()
    lines = [one.source(source).decode().splitlines() for one in made]
    assert [line[1] == second for line in lines] == [line[0] != first for line in lines]
    assert {line[0] for line in lines} - {first} == {
        first.replace("3", "4"), first.replace("True", "False")
    }  # fmt: skip
    faults = {
        ("-min", "+min"), ("min", "max"), ("2.0", "2.2"), ("<", "<="), ("<", ">="), ("and", "or"),
        ("not b", "bool(b)"), ("a < b and not b", "(not (a < b and not b))"),
    }  # fmt: skip
    assert {line[1] for line in lines} - {second} == {second.replace(*pair) for pair in faults}


def test_mutants_can_be_read_and_their_tests_are_there(benchmark) -> None:
    mutants = benchmark("mutants")
    drawn, sources = mutants.draw("", 0)
    assert drawn[:30] == mutants.draw("", 0)[0][:30] != mutants.draw("", 1)[0][:30]
    for one in drawn[:60]:
        ast.parse(one.source(sources[one.path]))
        described = one.described(sources[one.path])
        assert described["old"] != described["new"]
    for tests in mutants.TESTS.values():
        for name in tests:
            path, _, test = name.partition("::")
            assert f"def {test}" in (BENCHMARKS.parent / path).read_text()


def test_smoke_coagulates_as_its_law_says(benchmark) -> None:
    """N0 / (1 + G N0 t): half is left after 1 / (G N0), 1,000 s of 10^6 flaming particles a cm3.

    Smoke of which all is fresh keeps its number, and so do dust and droplets.
    """
    coagulation = benchmark("coagulation")
    per_mass = coagulation.numbers_per_mass()
    mass = torch.ones(1, 201, 1, 5, dtype=torch.float64)
    mass[..., 0] = 1e6 / per_mass[0]
    mass[..., 1] = 1e6 / per_mass[1]
    left = coagulation.number_left(mass, loss_s=float("inf"))[0, :, 0]
    seconds = 10.0 * torch.arange(201, dtype=torch.float64)
    for kind, rate in ((0, 1e-9), (1, 4e-10)):
        torch.testing.assert_close(left[:, kind], 1.0 / (1.0 + rate * 1e6 * seconds))
    assert float(left[100, 0]) == pytest.approx(0.5)
    assert (left[:, 3:] == 1.0).all()
    tiny = 1e-6 * 2.0 ** torch.arange(201, dtype=torch.float64)  # doubles with each step
    growing = coagulation.number_left(tiny.clamp(max=1e-3).view(1, -1, 1, 1).repeat(1, 1, 1, 5))
    assert float(growing.min()) > 0.99


def test_every_benchmark_ends_in_the_same_line(benchmark, capsys: pytest.CaptureFixture) -> None:
    benchmark("last_line").print_last_line(
        "some", {"a": 1 / 3, "n": 2}, 5, "torch", "absent", cores=1
    )
    line = json.loads(capsys.readouterr().out)
    assert line["figures"] == {"a": 0.3333, "n": 2}
    assert (line["benchmark"], line["runs"]) == ("some", 5)
    assert line["versions"]["torch"] == torch.__version__
    assert line["versions"]["absent"] is None
    assert {"commit", "device", "cores"} <= line.keys()
    own = [f.name for f in BENCHMARKS.glob("*.py") if '"benchmark":' in f.read_text()]
    assert own == ["last_line.py"]
    scripts = {f.name: f.read_text() for f in BENCHMARKS.glob("*.py")}
    ends = {name: "print_last_line(" in text for name, text in scripts.items() if "main()" in text}
    assert [name for name, is_told in ends.items() if not is_told] == []


def test_mutants_end_in_the_line_of_all_benchmarks() -> None:
    command = [sys.executable, str(BENCHMARKS / "mutants.py"), "--sample", "0", "--only", "metrics"]
    table, _, last = subprocess.check_output(command, text=True).strip().rpartition("\n")
    line = json.loads(last)
    assert {"benchmark", "figures", "runs", "commit", "device", "versions"} <= line.keys()
    assert (line["benchmark"], line["runs"]) == ("mutants", 0)
    assert line["figures"] == {"killed": 0, "share": None}
    assert line["sites"] > 10
    assert "saafe/metrics.py" in table


class EnoughError(Exception):
    """Ends a fit before its thresholds."""


def test_fits_are_fitted_as_training_fits_them(benchmark) -> None:
    fits = benchmark("fits")
    words = "tiny,windows=960,batch=240,streams=128,held_out=128,epochs=3,passes=2"
    recipe = fits.recipe_of(words)
    assert recipe.new_epochs == 2
    ours = fits.fit(recipe, *fits.windows_of([recipe], recipe.seed)).state_dict()

    def stop(one) -> None:
        if one.epoch == one.epochs:
            raise EnoughError(one.averaged.state_dict())

    with pytest.raises(EnoughError) as stopped:
        loop.fit_detector(recipe, on_checkpoint=stop)
    theirs = stopped.value.args[0]
    calibrated = {"risk_scale", "risk_shift"}
    assert theirs.keys() == ours.keys()
    for name in theirs.keys() - calibrated:
        assert torch.equal(theirs[name], ours[name]), name


def test_fits_score_what_finds_more_as_better(benchmark) -> None:
    """A model that knows the fires' own particles, and one that knows nothing."""
    fits = benchmark("fits")

    class Known(FireTransformer):
        def __init__(self, weight: float) -> None:
            super().__init__(fits.recipe_of("tiny"))
            self.weight = weight

        def forward(self, windows: torch.Tensor) -> torch.Tensor:
            level = self.weight * windows[:, -1, :, 1].nan_to_num().clamp(min=0.0).log1p()
            return torch.stack([0.0 * level, 0.0 * level, level], dim=-1)

    device = fits.devices.load_device("saafe-4")
    streams, spans = fits.fire_streams(1, device)
    assert len(spans) == len(streams.readings) > 100
    assert (spans[:, 0] <= spans[:, 1]).all()
    peaks = [fits.fire_peaks(Known(weight), streams, spans)[:, 0] for weight in (1.0, 0.0)]
    assert (peaks[0] > peaks[1]).float().mean() > 0.9
