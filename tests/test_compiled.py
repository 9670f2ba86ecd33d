"""Loops over time as machine code: equal to the same laws in torch."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from saafe.simulator import compiled, mixing, reference_alarms, simulation
from saafe.simulator.scenarios import Mix
from saafe.simulator.simulation import StreamSettings

MIXES = {
    "usual": Mix(),
    "fires": Mix(1.0, (), (), (1.0, 0.0, 0.0)),
    "two nuisances": Mix(0.0, (), (), (0.0, 0.0, 1.0)),
    "everything": Mix(1.0, (), (), (0.0, 0.0, 1.0)),
}


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("labelled", [True, False])
@pytest.mark.parametrize("name", MIXES)
def test_mixed_air_is_that_of_torch(name: str, labelled: bool) -> None:
    n = 40  # more than a block of rows, and no multiple of one
    world = simulation.draw_world(n, StreamSettings(1.0, 2, MIXES[name]), seeded(1))
    rows = simulation.runs_needed(world.events, labelled)
    given = mixing.Given(world.people, world.outdoor_pm, world.events)
    arguments = (world.building, given, rows, world.steps_s, world.steps)
    loop, torch_ = mixing.mix_compiled(*arguments), mixing.mix_in_torch(*arguments)
    for part, value in vars(torch_).items():
        torch.testing.assert_close(getattr(loop, part), value, rtol=1e-3, atol=1e-4)


def test_first_order_response_is_that_of_torch() -> None:
    values, share = 50.0 * torch.rand(2, 300, 24, generator=seeded(2))
    share /= 50.0
    values[:7, 3] = values[100:120, 5] = torch.nan
    loop, torch_ = values.clone(), values.clone()
    compiled.first_order(loop.numpy(), share.numpy())
    reference_alarms.first_order_in_torch(torch_, share)
    torch.testing.assert_close(loop, torch_, rtol=1e-5, atol=1e-5, equal_nan=True)


def test_runs_do_not_depend_on_the_rows_beside_them() -> None:
    world = simulation.draw_world(20, StreamSettings(0.5, 1), seeded(3))
    rows = simulation.runs_needed(world.events, labelled=False)
    whole = simulation.play(world, rows).truth
    with ThreadPoolExecutor(2) as pool:  # nor on threads
        again = list(pool.map(lambda _: simulation.play(world, rows).truth, range(2)))
    assert all(torch.equal(whole, one) for one in again)
