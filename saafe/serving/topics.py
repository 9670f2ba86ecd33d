"""Which part of an MQTT topic is the space, the sensor and the channel.

A pattern is a topic with `{space}`, `{sensor}` and `{channel}` in it, and `+` or `#` for what
tells nothing. A name before `=` is the space of all that matches.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from saafe.errors import InputError

DEFAULT_SPACE = "home"
LONGEST_TOPIC = 500  # characters; longer ones are nobody's sensor
AVAILABILITY = "availability"  # the last level of what a bridge says of a sensor
TOPIC_PARTS = ("space", "sensor", "channel")
_PART = re.compile(r"\{(.*?)\}")


class TopicPlace(NamedTuple):
    """What a topic says of a message."""

    space: str
    sensor: str
    channel: str  # as the topic writes it, "" where the message must say


@dataclass(frozen=True)
class TopicPattern:
    """One pattern: what to subscribe to, and what its matches mean."""

    text: str
    filter: str
    regex: re.Pattern[str]
    space: str = ""  # of all that matches, where it was named
    sensor: str = ""  # of one device that was put into a space by its whole topic

    def match(self, topic: str) -> TopicPlace | None:
        """What a topic says, None where it is another's."""
        found = self.regex.fullmatch(topic)
        if found is None:
            return None
        parts = found.groupdict()
        space = self.space or parts.get("space") or DEFAULT_SPACE
        sensor = parts.get("sensor") or self.sensor or space
        return TopicPlace(space, sensor, parts.get("channel") or "")


@dataclass(frozen=True)
class TopicPreset:
    """How one kind of device uses topics."""

    patterns: tuple[str, ...]
    ignored: str = r"(?!)"  # topics of it that hold no readings
    besides: tuple[str, ...] = ()  # what is to be subscribed to for availability


TOPIC_PRESETS = {
    # a friendly name is a space, one with a slash a space and a sensor
    "zigbee2mqtt": TopicPreset(
        ("zigbee2mqtt/{space}", "zigbee2mqtt/{space}/{sensor}"),
        r"zigbee2mqtt/bridge(?:/.*)?|.*/(?:set|get)",
        ("zigbee2mqtt/+/+/availability",),  # that of one level less is in the patterns
    ),
    "esphome": TopicPreset(("{space}/sensor/{channel}/state",)),
    "tasmota": TopicPreset(("tele/{space}/SENSOR",)),
    "json": TopicPreset(("readings/{space}", "readings/{space}/{sensor}")),
}


def parse_topic(text: str) -> TopicPattern:
    """The pattern that a text such as `zigbee2mqtt/{space}` or `den=tele/{sensor}/SENSOR` is.

    Raises:
        InputError: it is no topic, or names a part that there is not, or one twice.
    """
    named, sign, topic = text.partition("=")
    space, topic = (named.strip(), topic.strip()) if sign else ("", text.strip())
    allowed = "levels between /, {space}, {sensor}, {channel}, + for a level and # for the rest"
    parts = _PART.findall(topic)
    bare = _PART.sub("", topic)
    wrong = ""
    if unknown := [part for part in parts if part not in TOPIC_PARTS]:
        wrong = f"no part {{{unknown[0]}}}"
    elif twice := [part for part in TOPIC_PARTS if parts.count(part) > 1]:
        wrong = f"{{{twice[0]}}} came twice"
    elif space and "space" in parts:
        wrong = f"names the space {space!r} and {{space}}"
    elif sign and not space:
        wrong = "no space before ="
    elif not topic or "\0" in topic or "{" in bare or "}" in bare or len(topic) > LONGEST_TOPIC:
        wrong = "no topic"
    elif topic.startswith("$"):
        wrong = "topics with $ are the broker's"
    levels = topic.split("/")
    for at, level in enumerate(levels):
        is_last = at == len(levels) - 1
        if ("+" in level and level != "+") or ("#" in level and not (level == "#" and is_last)):
            wrong = wrong or "+ stands for a whole level and # for the last ones"
    if wrong:
        raise InputError(f"--topic {text}: {wrong}; allowed: {allowed}")
    filter_ = "/".join("+" if _PART.search(level) else level for level in levels)
    regex = re.compile("/".join(map(_level_regex, levels)))
    is_one_device = bool(space) and not re.search(r"[+#]", filter_)
    return TopicPattern(text, filter_, regex, space, levels[-1] if is_one_device else "")


def _level_regex(level: str) -> str:
    """What matches one level of a topic."""
    if level == "#":
        return r".*"
    if level == "+":
        return r"[^/]*"
    pieces = _PART.split(level)  # text, part, text, part, ...
    return "".join(
        re.escape(piece) if at % 2 == 0 else f"(?P<{piece}>[^/]+)"
        for at, piece in enumerate(pieces)
    )


class Topics:
    """All patterns of one connection."""

    def __init__(self, patterns: Sequence[str], presets: Sequence[str] = ()) -> None:
        """Take patterns, and the names of presets whose patterns stand after them.

        Raises:
            InputError: for a wrong pattern or an unknown preset, or none of either.
        """
        allowed = ", ".join(TOPIC_PRESETS)
        texts, self.ignored, self.besides = list(patterns), [], []
        for name in presets:
            if name not in TOPIC_PRESETS:
                raise InputError(f"--preset {name}: no such preset of topics; allowed: {allowed}")
            texts += TOPIC_PRESETS[name].patterns
            self.ignored.append(re.compile(TOPIC_PRESETS[name].ignored))
            self.besides += TOPIC_PRESETS[name].besides
        if not texts:
            raise InputError(
                f"no topics: give --preset ({allowed}), or --topic such as "
                "'home/{space}/{sensor}' for JSON or 'home/{space}/{channel}' for numbers"
            )
        self.patterns = [parse_topic(text) for text in texts]

    @property
    def filters(self) -> list[str]:
        """What to subscribe to, each once."""
        return list(dict.fromkeys([*(pattern.filter for pattern in self.patterns), *self.besides]))

    def place(self, topic: str) -> TopicPlace | None:
        """What a topic says by the first pattern that it matches; None where it tells nothing.

        `availability` as a last level is the channel of the sensor whose topic stands before it.
        """
        if len(topic) > LONGEST_TOPIC or any(regex.fullmatch(topic) for regex in self.ignored):
            return None
        whose, _, last = topic.rpartition("/")
        if last == AVAILABILITY:
            place = self.place(whose)
            return place and place._replace(channel=AVAILABILITY)
        return next((place for p in self.patterns if (place := p.match(topic))), None)
