"""What Home Assistant is told of a space, so that it shows it without being configured."""

import hashlib
import re

from saafe import __version__
from saafe.serving.fleet import WatchedSpace, iso_time
from saafe.serving.views import acknowledged_until, faults_of, risk_of, urgency_of

Message = tuple[str, dict]  # topic, payload


def slug(space: str) -> str:
    """A space's name as part of a topic; names that differ in signs alone stay apart."""
    plain = re.sub(r"[^A-Za-z0-9_-]", "_", space)
    if plain == space:
        return plain
    return f"{plain}_{hashlib.sha256(space.encode()).hexdigest()[:8]}"


def space_topic(base: str, space: str, what: str) -> str:
    """Where something of a space is published: `state`, `event` or `acknowledge`."""
    return f"{base}/spaces/{slug(space)}/{what}"


def state_message(base: str, space: WatchedSpace, clock_s: float) -> Message:
    """The retained state of a space."""
    watched = space.detector.space
    faults = faults_of(space)
    payload = {
        "space": space.name,
        "state": urgency_of(space),
        "smoke": on_off(watched.incident is not None),
        "warning": on_off(any(one.alarm.warned for one in watched.sensors.values())),
        "fault": on_off(bool(faults)),
        "risk": round(risk_of(space), 1),
        "sensor": watched.incident,
        "acknowledged_until": acknowledged_until(space, clock_s),
        "faults": faults,
        "time": iso_time(clock_s),
    }
    return space_topic(base, space.name, "state"), payload


def discovery_messages(base: str, prefix: str, status: str, space: str) -> list[Message]:
    """Retained messages that make a device of a space: smoke, warning, fault, risk, a button.

    Args:
        base: of our own topics.
        prefix: of Home Assistant's, usually "homeassistant".
        status: the topic that says "online" or "offline".
        space: its name.
    """
    # the names of two saafe on one Home Assistant differ; those of the usual base stay as they were
    name = f"saafe_{slug(space)}" if base == "saafe" else slug(f"{base}\0{space}")
    state = space_topic(base, space, "state")
    shared = {
        "availability_topic": status,
        "origin": {"name": "saafe", "sw_version": __version__},
        "device": {
            "identifiers": [name],
            "name": space,
            "manufacturer": "saafe",
            "model": "Fire detector in software, not a listed alarm",
            "sw_version": __version__,
        },
    }
    out: list[Message] = []
    for key, title, kind in (
        ("smoke", "Fire", "smoke"),
        ("warning", "Fire warning", "safety"),
        ("fault", "Sensor fault", "problem"),
    ):
        out.append((
            f"{prefix}/binary_sensor/{name}/{key}/config",
            {
                "name": title,
                "unique_id": f"{name}_{key}",
                "device_class": kind,
                **({"entity_category": "diagnostic"} if key == "fault" else {}),
                "state_topic": state,
                "value_template": f"{{{{ value_json.{key} }}}}",
                "json_attributes_topic": state,
                **shared,
            },
        ))  # fmt: skip
    out.append((
        f"{prefix}/sensor/{name}/risk/config",
        {
            "name": "Fire risk",
            "unique_id": f"{name}_risk",
            "unit_of_measurement": "%",
            "state_class": "measurement",
            "icon": "mdi:fire-alert",
            "state_topic": state,
            "value_template": "{{ value_json.risk }}",
            **shared,
        },
    ))  # fmt: skip
    out.append((
        f"{prefix}/button/{name}/acknowledge/config",
        {
            "name": "Acknowledge alarm",
            "unique_id": f"{name}_acknowledge",
            "command_topic": space_topic(base, space, "acknowledge"),
            **shared,
        },
    ))  # fmt: skip
    return out


def on_off(is_on: bool) -> str:
    """As Home Assistant's binary sensors say it."""
    return "ON" if is_on else "OFF"
