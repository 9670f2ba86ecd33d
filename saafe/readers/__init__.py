"""Readers of published recordings, one module a source."""

from collections.abc import Iterator
from pathlib import Path

from saafe.errors import InputError
from saafe.readers import (
    fsri_hvac_gasburner,
    nazir_lab_fire,
    nist_home_smoke_alarms,
    nist_nrc_compartment,
    uci_occupancy,
    uci_room_occupancy_sound,
    uhoo_homes,
)
from saafe.readers.published import Published, Source

SOURCES: dict[str, Source] = {
    "nist_home_smoke_alarms": nist_home_smoke_alarms.SOURCE,
    "uhoo_homes": uhoo_homes.SOURCE,
    "nazir_lab_fire": nazir_lab_fire.SOURCE,
    "fsri_hvac_gasburner": fsri_hvac_gasburner.SOURCE,
    "nist_nrc_compartment": nist_nrc_compartment.SOURCE,
    "uci_occupancy": uci_occupancy.SOURCE,
    "uci_room_occupancy_sound": uci_room_occupancy_sound.SOURCE,
}

__all__ = ["SOURCES", "Published", "Source", "read_published"]


def read_published(name: str, folder: Path | str) -> Iterator[Published]:
    """Yield the recordings of one source from its publisher's raw files.

    Raises:
        InputError: for an unknown source, or files that cannot be read.
    """
    if name not in SOURCES:
        raise InputError(f"no reader named {name!r}; allowed: {', '.join(SOURCES)}")
    return SOURCES[name].read(Path(folder))
