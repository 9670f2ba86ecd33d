"""Channels: everything that is known of what a sensor can measure, one row a channel.

A new channel is a row here and the physics that it needs in `simulator.air`; see docs/extend.md.
Numbers without a source beside them are chosen.
"""

from dataclasses import dataclass
from typing import Literal

Range = tuple[float, float]
WrongValues = tuple[tuple[float, str], ...]

# What instruments send in place of a reading; those that a channel can have are in its row.
_NO_VALUE_CODES: WrongValues = (
    *((value, "the 16-bit code 0xFFFF, no value") for value in (65535.0, 6553.5, 655.35)),
    *((value, "the 16-bit code 0x7FFF, no value") for value in (32767.0, 3276.7, 327.67)),
    (-1000.0, "AirGradient's for no value"),
)
_NO_VALUE: WrongValues = (*_NO_VALUE_CODES, (-1.0, "a driver's for no value"))


@dataclass(frozen=True)
class Scale:
    """How the model puts readings on a scale of order one.

    Attributes:
        kind: "linear" (x - centre) / spread; "log" ln(x / centre) / spread, readings clamped at
            the channel's lowest; "log1p" ln(1 + x / spread) - centre, clamped at 0.
        centre, spread: see kind.
        is_wide: whether departures reach over decades, so that the model sees their asinh.
    """

    kind: Literal["linear", "log", "log1p"]
    centre: float
    spread: float
    is_wide: bool = False


@dataclass(frozen=True)
class Visibility:
    """By how much a reading departs where an event shows in it.

    Attributes:
        event: from the run without it, of a fire and of what a nuisance leaves behind. A nuisance
            that acts counts from lower levels on, as soon as a reading shows it, so below this
            one only a nuisance is ever labelled (`simulator.labels`). For training's labels.
        first_signal: over the first ten seconds of a recorded fire; a scoring rule.
        ramp: least and largest rise that the exam of monotonicity adds, None where a rise is no
            sign of fire.
    """

    event: float
    first_signal: float
    ramp: Range | None = None


@dataclass(frozen=True)
class SelfTestLimits:
    """What no healthy channel does; see `detector.self_test`. None: not tested.

    Attributes:
        rests_from: where clean air holds a reading for hours; a channel that rests is not stuck.
        spike_rise, spike_share: a lone spike stands over both neighbours by a rise and by a
            share of them.
        drift_rise: by how much the lowest reading of a day may rise; for a day of bad weather.
    """

    rests_from: float | None = None
    spike_rise: float | None = None
    spike_share: float = 0.0
    drift_rise: float | None = None


@dataclass(frozen=True)
class InstrumentRanges:
    """Ranges that the general mix of instruments is drawn from.

    Attributes:
        lag_s: first-order time constant. [s]
        gain: on the departure from the channel's `rest`.
        offset: spread about zero.
        noise: standard deviation of one 10 s reading.
        relative_noise: the same as a share of the reading; the larger counts.
        resolution: smallest step.
        present: share of sensors that have the channel.
        unresponsive: share of them on which no event shows.
        highest_spike: as far as a loose contact goes in simulations.
        drift_a_day, spike, top: what the exam's injected faults do: a cell's drift, a lone
            spike's height, the end of a usual range.
    """

    lag_s: Range
    gain: Range
    offset: float
    noise: Range
    relative_noise: Range
    resolution: Range
    present: float
    unresponsive: float
    highest_spike: float
    drift_a_day: float
    spike: float
    top: float


@dataclass(frozen=True)
class Channel:
    """One measured quantity.

    Attributes:
        name: the word used in code and events.
        column: its column in a recording, with the unit.
        unit: for people.
        lowest: smallest reading that is physically possible; below it a reading is masked.
        highest: largest reading that is physically possible.
        indoors: where the median of a recording can lie; beyond it the unit is doubted.
        decimals: digits after the point when written.
        rest: an ordinary indoor reading.
        scale: for the model.
        instruments: for the simulator.
        self_test: for the detector.
        visibility: None where no event shows by itself.
        wrong_values: what known sensors send in place of a reading, and what it is; masked where
            it comes exactly so.
        overshoot: how far a healthy sensor reads over `highest`; such a reading is `highest`.
        reading_noise: what a cheap sensor adds from one reading to the next, well under what a
            home does; None where no fire was recorded with the channel.
    """

    name: str
    column: str
    unit: str
    lowest: float
    highest: float
    indoors: Range
    decimals: int
    rest: float
    scale: Scale
    instruments: InstrumentRanges
    self_test: SelfTestLimits = SelfTestLimits()
    visibility: Visibility | None = None
    wrong_values: WrongValues = _NO_VALUE
    overshoot: float = 0.0
    reading_noise: float | None = None


CHANNELS = (
    Channel(
        "temperature", "temperature_c", "degC", lowest=-40.0, highest=1200.0, decimals=2, rest=20.0,
        indoors=(0.0, 45.0),
        scale=Scale("linear", 22.0, 5.0, is_wide=True),  # a fire moves it by 1 to 500 K
        instruments=InstrumentRanges(
            lag_s=(2, 120), gain=(0.9, 1.05), offset=1.0, noise=(0.01, 0.25),
            relative_noise=(0.0001, 0.001), resolution=(0.01, 0.5), present=0.97,
            unresponsive=0.08, highest_spike=60.0,
            drift_a_day=2.0, spike=30.0, top=125.0),
        self_test=SelfTestLimits(spike_rise=10.0),
        visibility=Visibility(event=3.0, first_signal=2.0, ramp=(2.0, 60.0)),
        wrong_values=(
            (85.0, "a DS18B20's power-on value"),
            (-127.0, "a DS18B20's that is not connected"),
            (163.835, "a Sensirion SEN5x's for no value"),
            (999.0, "a logger's for no value"),
            (999.9, "a logger's for no value"),
            *_NO_VALUE_CODES),
        reading_noise=0.05,
    ),
    Channel(
        "pm25", "pm25_ug_m3", "ug/m3", lowest=0.0, highest=100_000.0, decimals=1, rest=0.0,
        indoors=(0.1, 500.0),
        scale=Scale("log1p", 1.0, 10.0),
        instruments=InstrumentRanges(
            lag_s=(5, 60), gain=(0.3, 2.0), offset=1.0, noise=(0.2, 6.0),
            relative_noise=(0.02, 0.3), resolution=(0.1, 1.0), present=0.9,
            unresponsive=0.05, highest_spike=1_000.0,
            drift_a_day=75.0, spike=800.0, top=1000.0),
        self_test=SelfTestLimits(0.0, spike_rise=100.0, spike_share=2.0, drift_rise=50.0),
        visibility=Visibility(event=100.0, first_signal=300.0, ramp=(20.0, 2_000.0)),
        wrong_values=(
            *_NO_VALUE,
            (999.9, "where an SDS011 ends"),
            (3661.0, "a PM sensor's for no value")),
        reading_noise=0.5,
    ),
    Channel(
        "co2", "co2_ppm", "ppm", lowest=100.0, highest=200_000.0, decimals=1, rest=420.0,
        indoors=(300.0, 10_000.0),
        scale=Scale("log", 600.0, 0.5),
        instruments=InstrumentRanges(
            lag_s=(10, 180), gain=(0.85, 1.15), offset=30.0, noise=(1.0, 25.0),
            relative_noise=(0.001, 0.03), resolution=(1.0, 10.0), present=0.8,
            unresponsive=0.25, highest_spike=5_000.0,
            drift_a_day=600.0, spike=3000.0, top=5000.0),
        self_test=SelfTestLimits(300.0, spike_rise=500.0, spike_share=0.5, drift_rise=400.0),
        visibility=Visibility(event=600.0, first_signal=150.0),
        wrong_values=(*_NO_VALUE, (0.0, "a CO2 sensor's before its first measurement")),
        reading_noise=5.0,
    ),
    Channel(
        "sound", "sound_db", "dB", lowest=0.0, highest=150.0, decimals=1, rest=0.0,
        indoors=(15.0, 110.0),
        scale=Scale("linear", 45.0, 15.0),
        instruments=InstrumentRanges(
            lag_s=(1, 10), gain=(0.9, 1.1), offset=3.0, noise=(0.3, 3.0),
            relative_noise=(0.001, 0.02), resolution=(0.1, 1.0), present=0.3,
            unresponsive=0.4, highest_spike=120.0,
            drift_a_day=5.0, spike=40.0, top=120.0),
    ),
    Channel(
        "co", "co_ppm", "ppm", lowest=0.0, highest=20_000.0, decimals=2, rest=0.0,
        indoors=(0.0, 50.0),
        scale=Scale("log1p", 0.0, 3.0),
        instruments=InstrumentRanges(
            lag_s=(15, 120), gain=(0.7, 1.3), offset=0.5, noise=(0.05, 2.0),
            relative_noise=(0.005, 0.05), resolution=(0.01, 1.0), present=0.65,
            unresponsive=0.3, highest_spike=300.0,
            drift_a_day=15.0, spike=300.0, top=500.0),
        self_test=SelfTestLimits(0.0, spike_rise=100.0, spike_share=1.0, drift_rise=10.0),
        visibility=Visibility(event=15.0, first_signal=25.0, ramp=(5.0, 500.0)),
        reading_noise=0.05,
    ),
    Channel(
        "humidity", "humidity_pct", "%", lowest=0.0, highest=100.0, decimals=2, rest=50.0,
        indoors=(2.0, 100.0),
        scale=Scale("linear", 50.0, 20.0),
        instruments=InstrumentRanges(
            lag_s=(5, 120), gain=(0.9, 1.1), offset=3.0, noise=(0.05, 0.6),
            relative_noise=(0.001, 0.01), resolution=(0.01, 1.0), present=0.6,
            unresponsive=0.35, highest_spike=100.0,
            drift_a_day=8.0, spike=50.0, top=100.0),
        self_test=SelfTestLimits(spike_rise=20.0),
        overshoot=10.0,  # a wet sensor reads 105 to 110
    ),
)  # fmt: skip
CHANNEL_NAMES = tuple(channel.name for channel in CHANNELS)
COLUMNS = tuple(channel.column for channel in CHANNELS)
TEMPERATURE, PM25, CO2, SOUND, CO, HUMIDITY = (
    CHANNEL_NAMES.index(name)
    for name in ("temperature", "pm25", "co2", "sound", "co", "humidity")
)  # fmt: skip

# [m2/g] natural logarithm, of flaming smoke: G. W. Mulholland and C. Croarkin, "Specific extinction
# coefficient of flame generated smoke," Fire and Materials, vol. 24, pp. 227-230, 2000 (from
# memory). It turns what smoke meters show into PM2.5; smouldering smoke scatters half as much.
SMOKE_EXTINCTION_M2_G = 8.7

HEAT_C = 57.0  # fixed-temperature heat detectors, UL 521 / EN 54-5 class A1's range
RISE_K_PER_MIN = 8.3  # 15 F a minute, rate-of-rise heat detectors, UL 521
RISE_SPAN_S = 60.0  # which the rise is taken over

LABELS = ("normal", "nuisance", "fire")
NORMAL, NUISANCE, FIRE = range(len(LABELS))
UNKNOWN = -1  # the label of a row that says nothing

MAX_SENSORS = 64
SHORTEST_PERIOD_S = 1.0
LONGEST_PERIOD_S = 3600.0  # a recording whose median period is longer is refused
