"""Simulated recordings, as `saafe simulate` writes them."""

import math
from collections.abc import Iterator, Sequence
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import torch

from saafe.errors import InputError
from saafe.recordings import Recording
from saafe.simulator.devices.catalogue import ANYTHING
from saafe.simulator.devices.device import Device
from saafe.simulator.scenarios import mix_of
from saafe.simulator.simulation import SIMULATION_CHUNK, simulate_streams
from saafe.simulator.streams import describe_stream, to_recordings

SHORTEST_H = 0.1  # as `saafe simulate` takes it
WHOLE = {"n": (0, 10**7), "seed": (-(2**63), 2**63 - 1), "sensors": (1, 64), "times": (1, 1000)}


def simulate(
    n: int,
    *,
    seed: int = 0,
    hours: float = 3.0,
    sensors: int = 2,
    sources: Sequence[str] = (),
    device: str | Path | Device = ANYTHING,
    times: int = 1,
) -> list[Recording]:
    """Simulate labelled recordings of `n` spaces.

    Args:
        n: how many.
        seed: of everything random.
        hours: length of each, 0.1 or more.
        sensors: in each space, at most 64.
        sources: names of the fires and nuisances to draw; all by default.
        device: a name of the catalogue, the path of a device file, or a Device; any instruments
            by default.
        times: how often each nuisance happens, once in each of as many equal parts.

    Returns:
        Recordings with `labels` and `sources`.

    Raises:
        InputError: a source or the device is unknown, or a number cannot be simulated.

    Example:
        >>> import saafe
        >>> (recording,) = saafe.simulate(1, hours=1.0, sources=["curtain"])
        >>> recording.sensors, recording.readings.shape
        (('A', 'B'), (360, 2, 6))
    """
    for name, number in (("n", n), ("seed", seed), ("sensors", sensors), ("times", times)):
        least, most = WHOLE[name]
        if not isinstance(number, Integral) or not least <= number <= most:
            allowed = f"a whole number from {least} to {most}"
            raise InputError(f"{name}: came {number!r}; allowed: {allowed}")
    if not isinstance(hours, Real) or not SHORTEST_H <= hours < math.inf:
        raise InputError(f"hours: came {hours!r}; allowed: a number, {SHORTEST_H} or more")
    if isinstance(sources, str) or not hasattr(sources, "__iter__"):
        raise InputError(f'sources: came {sources!r}; allowed: names, such as ["toast"]')
    described = simulate_described(
        int(n), seed=int(seed), hours=float(hours), sensors=int(sensors), sources=sources,
        device=device, times=int(times),
    )  # fmt: skip
    return [recording for recording, _ in described]


def simulate_described(
    n: int,
    *,
    seed: int,
    hours: float,
    sensors: int,
    sources: Sequence[str],
    device: str | Path | Device,
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
