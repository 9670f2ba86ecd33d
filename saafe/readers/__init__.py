"""Readers of published recordings, one module a source, and of vendors' exports."""

from collections.abc import Iterator
from pathlib import Path

from saafe.errors import InputError
from saafe.readers import (
    fsri_hvac_gasburner, nazir_lab_fire, nist_home_smoke_alarms, nist_nrc_compartment,
    uci_occupancy, uci_room_occupancy_sound, uhoo_homes,
)  # fmt: skip
from saafe.readers.annotated_sets import NONE_BEFORE, Unreadable, begins_before, read_annotated
from saafe.readers.export_columns import Meaning, find_meaning
from saafe.readers.export_hints import import_hint, read_recorded
from saafe.readers.export_maps import parse_columns
from saafe.readers.export_parts import (
    join_tables, read_exports, sensors_note, split_sensors,
)  # fmt: skip
from saafe.readers.exports import Guess, import_recording, read_export
from saafe.readers.presets import PRESETS
from saafe.readers.published import Published, Publisher

PUBLISHERS: dict[str, Publisher] = {
    "nist_home_smoke_alarms": nist_home_smoke_alarms.PUBLISHER,
    "uhoo_homes": uhoo_homes.PUBLISHER,
    "nazir_lab_fire": nazir_lab_fire.PUBLISHER,
    "fsri_hvac_gasburner": fsri_hvac_gasburner.PUBLISHER,
    "nist_nrc_compartment": nist_nrc_compartment.PUBLISHER,
    "uci_occupancy": uci_occupancy.PUBLISHER,
    "uci_room_occupancy_sound": uci_room_occupancy_sound.PUBLISHER,
}

__all__ = [
    "NONE_BEFORE", "PRESETS", "PUBLISHERS", "Guess", "Meaning", "Published", "Publisher",
    "Unreadable", "begins_before", "find_meaning", "import_hint", "import_recording",
    "join_tables", "parse_columns", "read_annotated", "read_export", "read_exports",
    "read_published", "read_recorded", "sensors_note", "split_sensors",
]  # fmt: skip


def read_published(name: str, folder: Path | str) -> Iterator[Published]:
    """Yield the recordings of one source from its publisher's raw files."""
    if name not in PUBLISHERS:
        raise InputError(f"no reader named {name!r}; allowed: {', '.join(PUBLISHERS)}")
    return PUBLISHERS[name].read(Path(folder))
