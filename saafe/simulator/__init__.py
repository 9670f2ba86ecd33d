"""Simulated recordings: physics, sources, rooms, devices, sensor faults, labels."""

from saafe.simulator import emissions, onto_recording, physics, simulation, sources
from saafe.simulator.buildings import Rooms
from saafe.simulator.labels import FIRE_VISIBLE, NUISANCE_VISIBLE
from saafe.simulator.limits import untenable_times
from saafe.simulator.recordings import simulate, simulate_described
from saafe.simulator.scenarios import Mix
from saafe.simulator.streams import Streams, gather, to_recordings

__all__ = [
    "FIRE_VISIBLE", "NUISANCE_VISIBLE", "Mix", "Rooms", "Streams", "emissions", "gather",
    "onto_recording", "physics", "simulate", "simulate_described", "simulation", "sources",
    "to_recordings", "untenable_times",
]  # fmt: skip
