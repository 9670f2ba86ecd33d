"""Early smouldering fires in a laboratory on low-cost sensors."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from saafe.readers.published import Published, Publisher, find_files, get_numbers, to_recording
from saafe.recordings import Table, read_table, to_text
from saafe.sensors import CO2, HUMIDITY, TEMPERATURE

_COLUMNS = {TEMPERATURE: "Temperature", HUMIDITY: "Humidity", CO2: "eCO2"}
_NOTE = "co2_ppm is eCO2, which a metal-oxide sensor infers from organic vapours: it is no CO2"


def read(folder: Path) -> Iterator[Published]:
    """Yield the fires of a folder of `MATERIAL_N.csv` or `.csv.gz` files."""
    for path in find_files(folder, "*_[0-9].csv"):
        table = read_table(path)
        times_s = _read_clock(table)
        numbers = get_numbers(table, *_COLUMNS.values(), "Status")
        channels = {index: numbers[name] for index, name in _COLUMNS.items()}
        recording, check = to_recording(path, times_s, {"A": channels})
        is_burning = numbers["Status"] >= 1
        is_alarm = (to_text(table, "Detector") == "ON").to_numpy()
        moments = {
            "t_detector": is_alarm & is_burning,  # clothing_2's also sounds 18 s into the clean air
            "t_status_1": is_burning,
            "t_status_2": numbers["Status"] >= 2,
        }
        references = {
            name: float(times_s[np.argmax(is_so)] - times_s[0])
            for name, is_so in moments.items()
            if is_so.any()
        }
        yield Published(recording, check, "smouldering", references=references, notes=(_NOTE,))


def _read_clock(table: Table) -> np.ndarray:
    """Seconds of a column of `h:mm:ss`; a clock that passes midnight goes on."""
    parts = to_text(table, "Time").str.extract_groups(r"^(\d{1,2}):(\d{2}):(\d{2})$")
    hours, minutes, seconds = (part.cast(int) for part in parts.struct.unnest().get_columns())
    clock = hours * 3600 + minutes * 60 + seconds
    if clock.null_count():
        index, mend = clock.is_null().arg_true()[0], "use the file as the publisher wrote it"
        raise table.refusal("no time", allowed="h:mm:ss", mend=mend, index=index, column="Time")
    times_s = clock.to_numpy().astype(np.float64)
    return times_s + 86400.0 * np.cumsum(np.diff(times_s, prepend=times_s[0]) < -43200.0)


PUBLISHER = Publisher(
    read=read,
    description="8 smouldering fires of carton, clothing and cables; T, RH and eCO2",
    licence="not stated",
    citation="Nazir et al., Fire, vol. 5, no. 1, article 11, 2022",
)
