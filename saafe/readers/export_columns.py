"""What a column or an entity of an export is, by its name: channel, unit, and whose it is."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from saafe.recordings import Conversion, find_unit, plain, unit_texts

# in names as `spaced` writes them; the first that matches
_CHANNELS = {
    "pm25": r"pm ?<? ?0?2 ?[,p]? ?5(?: ?um)?|pm02|(?:sds(?:011)?|pms\d*|hpm|npm|sps(?:30)?) ?p2",
    "co2": r"co ?2(?![0-9])|carbon ?dioxide|kohlen(?:stoff)?dioxid|dioxyde de carbone",
    "co": r"co(?![0-9a-z])|carbon ?monoxide|kohlen(?:stoff)?monoxid|monoxyde de carbone",
    "humidity": r"rel(?:ative)? ?hum\w*|humid\w*|hum|humedad|rh"
    r"|umidit\w*|\w*feucht\w*|\w*vochtig\w*",
    "temperature": r"temp\w*|\w*temperatur\w*|t|celsius|fahrenheit",
    "sound": r"noise|sound|spl|loudness|decibels?|dba?|l[aä]eq|bruit|ruido|rumore"
    r"|geluid|l[aä]rm\w*|laut\w*|geräusch\w*",
}
_CHANNEL_PATTERNS = {
    channel: re.compile(rf"(?<![a-z0-9])(?:{pattern})(?![a-z0-9])")
    for channel, pattern in _CHANNELS.items()
}
# particles of a size that is not named: taken as PM2.5 where a name says no other channel and size
_PARTICLES = re.compile(
    r"(?<![a-z0-9])(?<!am )(?:pm(?! ?[<0-9])|(?:fine )?dust|feinstaub\w*|(?:fine )?particulates?"
    r"(?: matter)?|aerosols?|fijnstof|particules fines|polveri sottili)(?![a-z0-9])"
)
_OTHER_SIZE = re.compile(
    r"(?<![a-z0-9,])(?:pm ?<? ?(?:10|100|[14](?:,0)?|0,\d+)|(?:10|[14](?:,0)?|0,\d+) ?um|10)"
    r"(?![0-9,])|\b(?:size|diameter|filter|bag|voltage|ratio)\b"
)
# units that are hardly another quantity's: they tell what an unknown name may be
_TELLING_UNITS = {
    "temperature": ("C", "F", "K"), "pm25": ("ug/m3", "mg/m3"), "co2": ("ppm",), "co": ("ppm",),
    "sound": ("dB",), "humidity": ("%",),
}  # fmt: skip
# what is measured in a channel's unit and is known to be another thing
_OTHER_QUANTITY = re.compile(
    r"(?<![a-z0-9])(?:t?vocs?|no2?|nox|o3|ozone?|so2|nh3|ch2o|hcho|formaldehyde?|radon|h2s?"
    r"|pm ?<? ?\d.*|p1|pollen|wind|rain|snow|cloud|sun|load|cpu|memory|disk|rssi|signal|altitude"
    r"|pressure|oxygen|o2|methane|ch4|propane|lpg|soc|level|brightness|power|dimm\w*)(?![a-z0-9])"
)
_OUT = r"outdoors?|outside|outd|au(?:ss|ß)en\w*|ext(?:ernal|erior|erieur|érieur)?"
_OUTDOORS = re.compile(rf"(?<![a-z])(?:{_OUT})(?![a-z])")
# what has a channel's name in its own and is not the air of the room
_OTHER = re.compile(
    rf"(?<![a-z])(?:{_OUT}|dew\w*"
    r"|taupunkt|set ?point|target|soll\w*|feels|heat index|apparent|gef[uü]hlt\w*|battery|device"
    r"|chip|cpu|esp32|board|offset|calibration|threshold|alarm|alert|status|quality|aqi|index"
    r"|score|units?|trend|absolute|abs|counts?|std|stdev|error|accuracy|uncertainty|linkquality"
    r"|estimat\w*|equivalents?|changes?|diff(?:erence)?|rate|flags?|adc|std ?dev\w*|variance|sum"
    r"|(?<!co2 mixing )(?<!co mixing )ratio|gradient|slope|lel|dbfs|surface|skin|body"
    r"|weather|forecast|oven|fridge|freezer|water|soil|colou?r|limit|sound volume"
    r"|(?:eco|comfort|holiday|anti ?frost|frost protection|open window|preset) (?:temp|hum)\w*"
    r"|(?:temp|hum|noise|sound)\w* (?:sensitivity|precision|periodic|report|delta|display|detected)"
    r")(?![a-z])"
)
# a part of a machine or of its water, or what a device was set to: no room's air either
_MACHINE = (
    r"internal|mcu|gpu|soc|processor|die|compressor|evaporator|condenser|inverter|transformer"
    r"|motor|engine|heat ?sink|disk|hdd|ssd|nvme|router|nozzle|hot ?end|extruder|boiler|furnace"
    r"|heat ?pump|heater|radiator|flow|return|supply|inlet|outlet|intake|exhaust|flue|chimney"
    r"|stove|cooker|hob|grill|bbq|smoker|meat|kettle|refrigerator|dish ?washer|washing machine"
    r"|dryer|pool|hot ?tub|tank|cylinder|aquarium|dhw|pipe|coolant|brine|glycol|manifold"
    r"|collector|wet bulb|wind ?chill|humidex|desired|requested|kessel|vorlauf\w*|r[uü]cklauf\w*"
    r"|warmwasser\w*|puffer\w*|w[aä]rmepumpe|heizung|heizkreis|ofen|k[uü]hlschrank|abgas\w*"
)
_OPEN_AIR = r"balcony|balkon|garden|garten|terrace|terrasse|patio|yard"
_OTHER_PLACE = re.compile(
    rf"(?<![a-z])(?:(?:{_MACHINE}|{_OPEN_AIR})(?! ?(?:r(?:oom|aum)|side)\b)"
    r"|(?:away|boost|sleep|night|day|manual|auto|protection|set) temp\w*"
    r"|temp\w* set(?:ting)?)(?![a-z])"
)
# ESPHome's "Particulate Matter <2.5µm Concentration": the sign and the point are gone in its topic
_PM25_IN_WORDS = re.compile(r"particulate matter ?<? ?2 ?,? ?5 ?(?:[uµ]?m\b)?")
# a letter that may be a unit's, and where it is a place's: zone_f
_A_LETTER = re.compile(r"(?:^| )[cfk]$")
_NAMED_BY_LETTER = re.compile(
    r"\b(?:zone|area|unit|flat|apartment|bay|block|section|probe|node|channel|port|station|rack|row)"
    r" [cfk]$"
)
# in brackets: a number of particles, an index, a raw signal, another quantity
_OTHER_UNIT = re.compile(r"[#/]|aqi|count|index|^(?:m?v|k?ohms?|adc|raw|[hk]?pa|s|ms|lux|dbm|g)$")
_SERIAL = re.compile(r"\bS/N\b")  # of a HOBO: Temp, °F (LGR S/N: 1, SEN S/N: 1)
# weather stations': tempf, tempinf, temp1f
_FAHRENHEIT = re.compile(r"temp(?:in|out)?\d*f|fahrenheit")
_TIME = re.compile(
    r"(?<![a-z])(?:date|time|datetime|timestamp|date ?time|time ?stamp|utcdatetime|datum|zeit\w*"
    r"|uhrzeit|datum ?zeit|recorded|created|last (?:seen|changed|updated)|ts|epoch|uptime|millis"
    r"|elapsed|horodatage|heure|fecha|hora|timezone \w+.*)(?![a-z])"
)
_NO_TIME = re.compile(r"^(?:start|stop)$|time ?zone$|run ?time|response|uptime ?min|entry")
# of two columns of one channel and one place, the one whose qualifier comes first is used
_QUALIFIERS = (
    "", "corrected", "compensated", "atm", "cf", "cf1", "mean", "avg", "average", "raw", "last",
    "a", "b", "alt", "min", "max", "median", "10minute", "30minute", "60minute", "6hour",
    "24hour", "1week",
)  # fmt: skip
_IGNORED_WORDS = {
    *_QUALIFIERS, "1", "sensor", "number", "state", "value", "current", "indoor", "inside", "in",
    "relative", "air", "ambient", "weight", "reading", "level", "levels", "concentration",
    "measured", "calibrated", "zigbee2mqtt", "mass", "of", "conc", "standard", "sampled", "payload",
    "density", "mixing", "ratio",
}  # fmt: skip
SENSOR_NAMES = (
    "sensor", "room", "location name", "device name", "friendly name", "device", "sensor name",
    "station", "area", "node", "topic", "location", "sensor id", "device id", "sensor index",
    "module", "name", "serial number", "mac", "mac address", "host", "entity id",
)  # fmt: skip
ENTITY_NAMES = (
    "field", "entity id", "metric", "parameter", "attribute", "variable", "quantity", "comp",
    "topic", "friendly name", "name", "statistic id", "series", "measurement", "type", "sensor",
    "entity", "device",
)  # fmt: skip
VALUE_NAMES = ("state", "value", "wert", "messwert", "val", "mean", "reading")
UNIT_NAMES = ("unit of measurement", "unit", "einheit", "measurement", "units")


@dataclass(frozen=True)
class Meaning:
    """What a name says: a channel, its unit if it tells, what is left, which of several it is."""

    channel: str
    unit: Conversion | None
    place: str  # the words that are neither, such as a room; "" = none
    rank: int  # of two columns of one place the lower is used


def spaced(name: str) -> str:
    """A name in plain small letters, words apart."""
    text = re.sub(r"(?<=[a-z])(?=[A-Z][a-z])", " ", name)  # LastSeen
    return re.sub(r"[\s_\-/.:]+", " ", re.sub(r"(?<=\d)\.(?=\d)", ",", plain(text))).strip()


def find_meaning(name: str) -> Meaning | None:
    """What a column or an entity measures by its name; None where it is no channel of a room."""
    brackets = re.findall(r"[(\[]([^)\]]*)[)\]]", name)
    brackets = [one for one in brackets if not _SERIAL.search(one)]
    text = spaced(re.sub(r"[(\[][^)\]]*[)\]]", " ", name))
    labels = re.findall(r"[=:] *\"?([^,}\"]+)", name.partition("{")[2])
    text = re.sub(r"\bair quality\b(?! index)", " ", text.partition("{")[0])
    text = re.sub(r"particulate matter ?(?=<? ?\d)", "pm ", _PM25_IN_WORDS.sub("pm25", text))
    if any(
        _OTHER.search(part) or _OTHER_PLACE.search(part) for part in (text, *_said_in(brackets))
    ):
        return None
    in_labels = spaced(" ".join(labels))
    if _OUTDOORS.search(in_labels):
        return None
    found = (
        (channel, match)
        for channel, pattern in _CHANNEL_PATTERNS.items()
        if (match := pattern.search(text) or pattern.search(in_labels))
    )
    channel, match = next(found, ("", None))
    is_unsized = match is None
    if not match and not _OTHER_SIZE.search(spaced(name)):
        channel, match = "pm25", _PARTICLES.search(text)
    if not match:
        return None
    before = text
    if match.string == text:
        before, text = text[: match.start()], text[: match.start()] + " " + text[match.end() :]
    whole, (text, unit) = text, _split_unit(channel, text)
    if unit and before == whole[:-1] and _A_LETTER.search(before.strip()) and "°" not in name:
        text, unit = whole, None  # room_f_temperature
    if unit is None and before != whole:  # temp_f_avg: the unit stands before what was made of it
        behind = whole[len(before) :].split()
        made = [word for word in behind if word in _QUALIFIERS]
        rest, found = _split_unit(channel, " ".join(w for w in behind if w not in made))
        text, unit = (text, None) if rest else (f"{before} {' '.join(made)}", found)
    if unit is None and _FAHRENHEIT.fullmatch(match.group()):
        unit = find_unit(channel, "F")
    for bracket in brackets:
        found = find_unit(channel, bracket)
        if not found and _OTHER_UNIT.search(plain(bracket)):
            return None
        unit, text = (found, text) if found else (unit, f"{text} {spaced(bracket)}")
    words = [*text.split(), *(w for label in labels for w in spaced(label).split())]
    left = [w for w in words if w not in _IGNORED_WORDS and not _is_channel(w) and w.strip(",;")]
    left = [] if left == ["room"] else left
    ranks = [_QUALIFIERS.index(word) for word in words if word in _QUALIFIERS]
    rank = max(ranks, default=0) + len(_QUALIFIERS) * is_unsized  # PM2.5 comes before dust
    return Meaning(channel, unit, "_".join(dict.fromkeys(left)), rank)


def _said_in(brackets: Sequence[str]) -> list[str]:
    """What brackets say of a quantity, without words that there name whose it is."""
    return [re.sub(r"\b(?:device|chip|esp32|board|units?)\b", " ", spaced(b)) for b in brackets]


def _is_channel(word: str) -> bool:
    return any(pattern.fullmatch(word) for pattern in _CHANNEL_PATTERNS.values())


def channel_of_unit(name: str, channels: Collection[str]) -> str | None:
    """Which of some channels a column may be that only its unit tells, None where that does not."""
    text = spaced(name)
    if find_meaning(name) or is_time(name) or _OTHER.search(text) or _OTHER_QUANTITY.search(text):
        return None
    units = {channel: unit_in(channel, name) for channel in channels}
    fits = (c for c, unit in units.items() if unit and unit.unit in _TELLING_UNITS[c])
    return next(fits, None)


def _split_unit(channel: str, text: str) -> tuple[str, Conversion | None]:
    """A name without the unit that it ends in, and the unit."""
    text = text.strip()
    for writing in unit_texts(channel) if not _NAMED_BY_LETTER.search(text) else ():
        if (end := f" {spaced(writing)}") and f" {text}".endswith(end):
            return f" {text}"[: -len(end)], find_unit(channel, writing)
    return text, None


def unit_in(channel: str, name: str) -> Conversion | None:
    """The unit of a channel that a name has in brackets or ends in; None where it says none."""
    in_brackets = (find_unit(channel, text) for text in re.findall(r"[(\[]([^)\]]*)[)\]]", name))
    if unit := next(filter(None, in_brackets), None):
        return unit
    return _split_unit(channel, spaced(name))[1]


def is_time(name: str) -> bool:
    """Whether a column is a time by its name."""
    text = spaced(name)
    return bool(_TIME.search(text)) and not _NO_TIME.search(text) and find_meaning(name) is None


def is_known(name: str) -> bool:
    """Whether a name may stand in a header: a time, a channel, or a part of a long table."""
    parts = {*SENSOR_NAMES, *ENTITY_NAMES, *VALUE_NAMES}
    return is_time(name) or find_meaning(name) is not None or spaced(name) in parts
