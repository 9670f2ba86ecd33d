"""Simulated recordings: physics, sources, rooms, devices, sensor faults, labels."""

from saafe.simulator import devices, emissions, onto_recording, physics, simulation, sources
from saafe.simulator.aerosols import AEROSOLS, AerosolKind
from saafe.simulator.buildings import Rooms
from saafe.simulator.devices.catalogue import ANYTHING, DEVICES
from saafe.simulator.labels import VISIBLE, YOUNG_FIRE
from saafe.simulator.limits import untenable_times
from saafe.simulator.over_recordings import (
    Background, EventsAlone, backgrounds_of, simulate_events, simulate_over,
)  # fmt: skip
from saafe.simulator.recordings import simulate, simulate_described
from saafe.simulator.reference_alarms import (
    REFERENCE_ALARMS,
    SENSITIVITIES,
    rate_of_rise_times,
    sounding_times,
)
from saafe.simulator.scenarios import Mix
from saafe.simulator.streams import Streams, gather, to_recordings

__all__ = [
    "AEROSOLS", "ANYTHING", "DEVICES", "REFERENCE_ALARMS", "SENSITIVITIES", "VISIBLE", "YOUNG_FIRE",
    "AerosolKind", "Background", "EventsAlone", "Mix", "Rooms", "Streams",
    "backgrounds_of", "devices", "emissions", "gather", "onto_recording", "physics",
    "rate_of_rise_times", "simulate", "simulate_described", "simulate_events", "simulate_over",
    "simulation", "sounding_times", "sources", "to_recordings", "untenable_times",
]  # fmt: skip
