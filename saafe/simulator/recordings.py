"""Simulated recordings, as `saafe simulate` writes them."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch

from saafe.recordings import Recording
from saafe.simulator.devices.catalogue import ANYTHING
from saafe.simulator.devices.device import Device
from saafe.simulator.scenarios import mix_of
from saafe.simulator.simulation import SIMULATION_CHUNK, simulate_streams
from saafe.simulator.streams import describe_stream, to_recordings


def simulate(
    n: int,
    *,
    seed: int = 0,
    hours: float = 3.0,
    sensors: int = 2,
    sources: Sequence[str] = (),
    device: str | Device = ANYTHING,
    times: int = 1,
) -> list[Recording]:
    """Simulate labelled recordings of `n` spaces.

    Args:
        n: how many.
        seed: of everything random.
        hours: length of each.
        sensors: in each space.
        sources: names of the fires and nuisances to draw; all by default.
        device: a name of the catalogue, the path of a device file, or a Device; any instruments
            by default.
        times: how often each nuisance happens, once in each of as many equal parts.

    Returns:
        Recordings with `labels` and `sources`.

    Raises:
        InputError: a source or the device is unknown.

    Example:
        >>> import saafe
        >>> (recording,) = saafe.simulate(1, hours=1.0, sources=["curtain"])
        >>> recording.sensors, recording.readings.shape
        (('A', 'B'), (360, 2, 6))
    """
    described = simulate_described(
        n, seed=seed, hours=hours, sensors=sensors, sources=sources, device=device, times=times
    )
    return [recording for recording, _ in described]


def simulate_described(
    n: int,
    *,
    seed: int,
    hours: float,
    sensors: int,
    sources: Sequence[str],
    device: str | Device,
    times: int = 1,
) -> Iterator[tuple[Recording, dict[str, Any]]]:
    """Recordings chunk by chunk, and what was drawn for each; see `simulate`, which lists them."""
    mix = mix_of(tuple(sources), device, times=times)
    generator = torch.Generator().manual_seed(seed)

    def make(at: int) -> Iterator[tuple[Recording, dict[str, Any]]]:
        size = min(SIMULATION_CHUNK, n - at)
        streams = simulate_streams(
            size, generator=generator, hours=hours, sensors=sensors, mix=mix, alarms=True
        )
        for k, recording in enumerate(to_recordings(streams, first=at)):
            yield recording, describe_stream(streams, k)

    return (pair for at in range(0, n, SIMULATION_CHUNK) for pair in make(at))
