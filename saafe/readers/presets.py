"""Vendors' exports: what columns alone do not say, one row a vendor.

Most columns are understood by their names (`export_columns`). A row here tells a vendor's file
by its header, and says which column is the time, which of several is the channel, and the unit
that the header leaves out. All rows are from memory of real exports; none was checked against a
vendor's documentation.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from saafe.errors import InputError, as_given


@dataclass(frozen=True)
class Preset:
    """One vendor's export.

    Attributes:
        name: for `--preset`.
        headers: columns that all stand in such a file and together in no other, one set a form of
            it; () = never guessed.
        times: columns of the time, the best first.
        columns: column -> channel; of several for one channel the first that the file has.
        units: channel -> unit where neither header nor cell tells it.
        sensor: the column that names the sensor, "" = as guessed.
        zone: of times without offset, "" = not known.
    """

    name: str
    headers: tuple[tuple[str, ...], ...] = ()
    times: tuple[str, ...] = ()
    columns: Mapping[str, str] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)
    sensor: str = ""
    zone: str = ""


_FAHRENHEIT = {"temperature": "F"}
# names as `plain` writes them
_PURPLEAIR = {
    "pm2.5_atm": "pm25",
    "pm2.5_cf_1": "pm25",
    "pm2.5_alt": "pm25",
    "pm2.5_atm_a": "pm25",
    "pm2.5_cf_1_a": "pm25",
    "pm2_5_atm": "pm25",
    "pm2_5_cf_1": "pm25",
    "current_temp_f": "temperature",
    "current_humidity": "humidity",
}
PRESETS = (
    Preset(
        "home-assistant",
        headers=(("entity_id", "state", "last_changed"),),
        times=("last_changed", "last_updated"),
    ),
    Preset("esphome", times=("time", "timestamp")),
    Preset("zigbee2mqtt", headers=(("last_seen",),), times=("last_seen", "time", "timestamp")),
    Preset("thingspeak", headers=(("created_at", "entry_id"),), times=("created_at",)),
    # the map's CSV and API give degF, the SD card's log too
    Preset(
        "purpleair",
        headers=tuple(
            ("time_stamp", other)
            for other in ("pm2.5_atm", "pm2.5_cf_1", "pm2.5_alt", "pm2.5_atm_a", "sensor_index")
        ),
        times=("time_stamp", "utcdatetime", "created_at"),
        columns=_PURPLEAIR,
        units=_FAHRENHEIT,
        sensor="sensor_index",
    ),
    Preset(
        "airgradient",
        headers=(("utc date/time", "local date/time"),),
        times=("utc date/time", "local date/time"),
        sensor="location name",
    ),
    Preset(
        "awair",
        headers=(("timestamp", "score", "temp", "humid"),),
        times=("timestamp",),
        columns={"temp": "temperature", "humid": "humidity", "spl_a": "sound"},
    ),
    Preset("aranet", headers=(("time(dd/mm/yyyy h:mm:ss a)",),)),
    Preset("airthings", headers=(("recorded",),), times=("recorded",)),
    Preset("netatmo", headers=(("timestamp", "noise", "temperature"),), times=("timestamp",)),
    Preset("qingping", headers=(("time", "temperature(c)"),), times=("time",)),
    # P1 is PM10 and P2 is PM2.5 of an SDS011 and its like
    Preset(
        "sensor.community",
        headers=(("sensor_id", "sensor_type", "timestamp"),),
        times=("timestamp",),
        columns={"p2": "pm25", "temperature": "temperature", "humidity": "humidity"},
        sensor="sensor_id",
        zone="UTC",
    ),
    # as airRohr writes
    Preset("sensor.community", headers=(("p1", "p2"),), columns={"p2": "pm25"}),
    Preset("influxdb", headers=(("_time",),), times=("_time", "time")),
    Preset("grafana", times=("time",)),
)


def find_presets(name: str) -> list[Preset]:
    """The rows of a preset by its name; an InputError says which names there are."""
    found = [preset for preset in PRESETS if preset.name == str(name).lower()]
    if not found:
        allowed = ", ".join(dict.fromkeys(preset.name for preset in PRESETS))
        given = as_given("--preset", "preset")
        raise InputError(f"{given} {name}: no such preset; allowed: {allowed}")
    return found


def choose_preset(name: str | None, columns: set[str]) -> Preset | None:
    """The row for a file's plain column names: of the preset named, else told by the header."""
    rows = find_presets(name) if name else PRESETS
    fitting = (row for row in rows if any(columns.issuperset(names) for names in row.headers))
    return next(fitting, rows[0] if name else None)
