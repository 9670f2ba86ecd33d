"""Simulated recordings: physics, sources, rooms, devices, sensor faults, labels.

Names are imported when they are used, so that the catalogue of devices can be read without torch.
"""

from typing import TYPE_CHECKING

from saafe.errors import imported_late

if TYPE_CHECKING:
    from saafe.simulator import (
        devices, emissions, homes, onto_recording, physics, simulation, sources,
    )  # fmt: skip
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
    "backgrounds_of", "devices", "emissions", "gather", "homes", "onto_recording", "physics",
    "rate_of_rise_times", "simulate", "simulate_described", "simulate_events", "simulate_over",
    "simulation", "sounding_times", "sources", "to_recordings", "untenable_times",
]  # fmt: skip
_MADE = {  # what each module makes; the other names of `__all__` are modules themselves
    "aerosols": ("AEROSOLS", "AerosolKind"),
    "buildings": ("Rooms",),
    "devices.catalogue": ("ANYTHING", "DEVICES"),
    "labels": ("VISIBLE", "YOUNG_FIRE"),
    "limits": ("untenable_times",),
    "over_recordings": (
        "Background", "EventsAlone", "backgrounds_of", "simulate_events", "simulate_over",
    ),
    "recordings": ("simulate", "simulate_described"),
    "reference_alarms": (
        "REFERENCE_ALARMS", "SENSITIVITIES", "rate_of_rise_times", "sounding_times",
    ),
    "scenarios": ("Mix",),
    "streams": ("Streams", "gather", "to_recordings"),
}  # fmt: skip
__getattr__ = imported_late(__name__, __all__, _MADE)
