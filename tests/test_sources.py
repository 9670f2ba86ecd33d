"""Every row of the registry keeps the same promises."""

import math
import re
from pathlib import Path
from typing import Any

import pytest
import torch

from saafe.sensors import CO, FIRE, NORMAL, NUISANCE, UNKNOWN
from saafe.simulator import Mix, occupants, sources
from saafe.simulator.emissions import (
    INTO_BOILER,
    INTO_POT,
    PARTICLES,
    ROOM_NAMES,
    Draw,
    Emission,
    Lognormal,
    Quantity,
    Source,
)
from saafe.simulator.scenarios import emit_all
from saafe.simulator.simulation import simulate_streams
from saafe.simulator.sources import SOURCES

N = 24
HOURS = 10


def emit(source: Source, seed: int = 0, draws: int = N) -> tuple[torch.Tensor, Emission]:
    """Emissions of so many draws, from half an hour before the start, every 10 s."""
    time = torch.arange(-1800.0, HOURS * 3600.0, 10.0).unsqueeze(1).expand(-1, draws)
    return time, source.emit(Draw(time, torch.Generator().manual_seed(seed)), source)


@pytest.mark.parametrize("source", SOURCES.values(), ids=list(SOURCES))
def test_source(source: Source) -> None:
    time, emission = emit(source)
    rates, state = emission.rates, emission.state
    assert rates.shape == (*time.shape, len(Quantity))
    assert state.shape == time.shape
    assert state.dtype == torch.int8
    assert torch.isfinite(rates).all()
    assert (rates >= 0.0).all()
    before = time < 0.0
    assert (rates[before] == 0.0).all()
    assert (state[before] == NORMAL).all()
    assert (rates.amax(dim=(0, 2)) > 0.0).all(), "a draw emits nothing at all"

    reached = set(state.unique().tolist())
    if source.name == "overheating_oil":
        assert reached == {NORMAL, NUISANCE, UNKNOWN, FIRE}
    elif source.kind == "fire":
        assert reached <= {NORMAL, UNKNOWN, FIRE}
        assert (state == FIRE).any(dim=0).all(), "a draw never burns"
        assert (rates[..., Quantity.OXYGEN].amax(dim=0) > 0.0).all()
        assert (rates[..., PARTICLES].sum(dim=-1).amax(dim=0) > 0.0).all()
    else:
        acting = NUISANCE if source.kind == "nuisance" else UNKNOWN
        assert reached == {NORMAL, acting}
        assert (state == acting).any(dim=0).all(), "a draw never acts"
        assert (rates[..., Quantity.OXYGEN] == 0.0).all()
    # nothing is given off while the source is said to rest
    resting = (state == NORMAL) & (time >= 0.0)
    assert (rates[resting] <= 1e-6 * rates.amax(dim=(0, 1))).all()
    # a wok on a burner of 5 kW once gave off 37: its heat came in bouts, as its fume does
    if (table := source.table) is not None:
        ratings = [ends[1] for ends in (table.heat, table.gas_kw) if isinstance(ends, tuple)]
        assert rates[..., Quantity.HEAT].max() <= max(ratings, default=0.0), "more than rated"


@pytest.mark.parametrize("source", SOURCES.values(), ids=list(SOURCES))
def test_source_depends_on_the_seed_alone(source: Source) -> None:
    first, again, other = (emit(source, seed, draws=2)[1].rates for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_names_and_kinds() -> None:
    assert len(SOURCES) == len(sources.FIRES) + len(sources.OTHERS), "a name is used twice"
    assert {s.kind for s in sources.HAZARDS} == {"hazard"}
    for source in SOURCES.values():
        assert set(source.rooms) <= set(ROOM_NAMES), source.name
        assert 0.0 <= source.base_m[0] <= source.base_m[1] <= 2.0, source.name
    assert {s.kind for s in sources.FIRES} == {"fire"}
    assert {s.kind for s in sources.NUISANCES} == {"nuisance"}
    assert all(s.weight > 0.0 for s in sources.FIRES)
    assert all(s.per_year > 0.0 for s in sources.NUISANCES)


def test_oil_passes_its_states_in_the_order_of_temperature() -> None:
    _, emission = emit(SOURCES["overheating_oil"])
    rank = torch.full((4,), -1)
    rank[torch.tensor([NORMAL, NUISANCE, UNKNOWN, FIRE]) % 4] = torch.arange(4)
    burning = (emission.state == FIRE).any(dim=0)
    assert 0.5 < burning.float().mean() < 1.0  # some are turned off in time
    course = rank[emission.state[:, burning].long() % 4]
    assert (course.diff(dim=0) >= 0).all()
    assert (emission.state[:, ~burning] <= NUISANCE).all()
    # it smokes before it burns, and flames give far more heat than the hob
    lit = emission.rates[..., Quantity.HEAT] > 5.0
    smoked = (emission.rates[..., Quantity.COOKING] > 0.1) & ~lit
    assert smoked.any(dim=0)[burning].all()
    assert lit.any(dim=0)[burning].all()
    assert not lit.any(dim=0)[~burning].any()


def test_flames_obey_chemistry() -> None:
    # methane gives 2.75 g of CO2 and 2.25 g of water a gram, and 50 kJ
    rates = emit(SOURCES["unvented_heater"])[1].rates
    lit = rates[..., Quantity.HEAT] > 0.0
    assert (rates[..., Quantity.CO2] / rates[..., Quantity.HEAT])[lit].std() < 1e-6
    # a pot on the hob, and a boiler's water, keep some of the flame's heat and none of its CO2
    for name, kept in (("gas_hob", INTO_POT), ("spilling_boiler", INTO_BOILER)):
        rates = emit(SOURCES[name])[1].rates
        lit = rates[..., Quantity.HEAT] > 0.0
        per_heat = (rates[..., Quantity.CO2] / rates[..., Quantity.HEAT])[lit]
        assert 0.055 / (1.0 - kept[0]) <= per_heat.min() * 1.001
        assert per_heat.max() <= 1.001 * 0.055 / (1.0 - kept[1])
    # what burns completely gives the most of each
    foam = emit(SOURCES["flaming_foam"])[1].rates.sum(dim=0)
    per_heat = foam / foam[:, Quantity.HEAT : Quantity.HEAT + 1]
    assert per_heat[:, Quantity.CO2].max() / per_heat[:, Quantity.CO2].min() < 1.05


def test_heaters_are_turned_down_as_the_room_warms() -> None:
    time, emission = emit(SOURCES["unvented_heater"])
    heat = emission.rates[..., Quantity.HEAT]
    later = heat[(time[:, 0] >= 6600.0) & (time[:, 0] < 7200.0)].mean(dim=0)
    assert (later < 0.6 * heat.amax(dim=0)).all()
    assert (later > 0.05 * heat.amax(dim=0)).all()


def test_published_rates_are_lognormal() -> None:
    source = SOURCES["incense"]
    assert source.table is not None
    law = source.table.pm
    assert isinstance(law, Lognormal)
    assert law.median == pytest.approx(1.0 / 60.0)
    drawn = Draw(torch.zeros(1, 20_000), torch.Generator().manual_seed(0)).amount(law).log()
    assert drawn.median().item() == pytest.approx(math.log(law.median), abs=0.03)
    assert drawn.std().item() == pytest.approx(law.sigma, rel=0.03)


def test_the_docs_say_what_every_source_rests_on() -> None:
    """Thirteen rows named no source, and the references stood in the code alone."""
    text = (Path(__file__).parents[1] / "docs" / "simulator.md").read_text()
    table = text[text.index("| what the particles") :].split("\n\n")[0]
    named = set(re.findall(r"`(\w+)`", table))
    assert named == {source.name for source in sources.NUISANCES + sources.HAZARDS}


def test_the_documented_source_keeps_the_promises() -> None:
    text = (Path(__file__).parents[1] / "docs" / "extend.md").read_text()
    section = text[text.index("## Add a source") : text.index("## Add a fuel")]
    (example,) = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    made: dict[str, Any] = {"__name__": "example"}
    exec(compile(example, "docs/extend.md", "exec"), made)
    test_source(made["row"])
    test_source_depends_on_the_seed_alone(made["row"])
    assert made["row"].name not in SOURCES


def test_rows_say_how_a_fire_burns_and_what_is_cooking() -> None:
    assert all(source.mode is not None for source in sources.FIRES)
    assert all(source.mode is None for source in sources.NUISANCES)
    assert all(source.kitchen for source in SOURCES.values() if source.cooking)
    assert not any(source.cooking for source in sources.FIRES)


def test_people_sleep_and_work() -> None:
    hour = torch.linspace(0.0, 24.0, 8640).unsqueeze(1).expand(-1, 256)
    rates = occupants.occupant_emissions(hour, torch.Generator().manual_seed(0))
    night, noon, evening = (
        rates[(hour[:, 0] > a) & (hour[:, 0] < b)]
        for a, b in ((1.0, 5.0), (11.0, 14.0), (18.5, 21))
    )
    assert (night[..., Quantity.SOUND] == 0.0).all()
    assert (
        0.6 < night[..., Quantity.CO2].mean() / evening[..., Quantity.CO2].mean() < 0.8
    )  # all asleep
    assert (
        0.4 < noon[..., Quantity.CO2].mean() / evening[..., Quantity.CO2].mean() < 0.8
    )  # some at work


def test_rooms_move_as_little_as_recorded_ones() -> None:
    clock = 10.0 * torch.arange(1080).unsqueeze(1)
    moved = occupants.room_temperature(clock, 512, torch.Generator().manual_seed(0))
    hourly = (moved[:360].amax(dim=0) - moved[:360].amin(dim=0)).median()
    assert 0.1 < hourly < 0.6  # recorded: 0.2 K


def test_batteries_vent_more_hydrogen_than_other_fires() -> None:
    for name, source in SOURCES.items():
        low, high = source.hydrogen
        assert 0.0 < low < high
        if name in ("battery", "e_bike"):
            assert low >= 0.4 - 1e-9
            assert high > 1.0


def test_hydrogen_goes_with_the_carbon_monoxide_of_its_source() -> None:
    time = torch.arange(0.0, 1800.0, 10.0).unsqueeze(1).expand(-1, N)
    for registry, name in ((sources.FIRES, "battery"), (sources.OTHERS, "cigarette")):
        index = [source.name for source in registry].index(name)
        chosen = torch.full((N,), index)
        rates, _ = emit_all(registry, chosen, time, torch.Generator().manual_seed(4))
        moles = rates[..., Quantity.HYDROGEN] / 2.016
        monoxide = rates[..., Quantity.CO] / 28.01
        ratio = (moles / monoxide)[monoxide > 0.0]
        low, high = SOURCES[name].hydrogen
        assert ratio.min() >= low * 0.999
        assert ratio.max() <= high * 1.001
        assert ratio.max() > 2.0 * ratio.min()


def test_sprays_are_no_carbon_monoxide_to_the_device_of_reference() -> None:
    mix = Mix(0.0, (), ("aerosol", "solvent"), (0.0, 1.0, 0.0), fault_share=0.0, device="saafe-6")
    streams = simulate_streams(96, generator=torch.Generator().manual_seed(5), sensors=1, mix=mix)
    reading = streams.readings[..., CO].nan_to_num(0.0)
    over = (reading - streams.truth[..., CO]).amax(dim=1)
    assert over.quantile(0.9) < 4.0  # its noise and its step
