"""Channels: what a sensor can measure, in which unit, and within which limits."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Channel:
    """One measured quantity.

    Attributes:
        name: the word used in code and events.
        column: its column in a recording, with the unit.
        unit: for people.
        lowest: smallest reading that is physically possible; below it a reading is masked.
        highest: largest reading that is physically possible.
        decimals: digits after the point when written.
    """

    name: str
    column: str
    unit: str
    lowest: float
    highest: float
    decimals: int


CHANNELS = (
    Channel("temperature", "temperature_c", "degC", -40.0, 1200.0, 2),
    Channel("pm25", "pm25_ug_m3", "ug/m3", 0.0, 100_000.0, 1),
    Channel("co2", "co2_ppm", "ppm", 100.0, 200_000.0, 1),
    Channel("sound", "sound_db", "dB", 0.0, 150.0, 1),
    Channel("co", "co_ppm", "ppm", 0.0, 20_000.0, 2),
    Channel("humidity", "humidity_pct", "%", 0.0, 100.0, 2),
)
CHANNEL_NAMES = tuple(channel.name for channel in CHANNELS)
COLUMNS = tuple(channel.column for channel in CHANNELS)
TEMPERATURE, PM25, CO2, SOUND, CO, HUMIDITY = range(len(CHANNELS))

LABELS = ("normal", "nuisance", "fire")
NORMAL, NUISANCE, FIRE = range(len(LABELS))
UNKNOWN = -1  # the label of a row that says nothing

MAX_SENSORS = 64
SHORTEST_PERIOD_S = 1.0
LONGEST_PERIOD_S = 90.0  # a recording whose median period is longer is refused
