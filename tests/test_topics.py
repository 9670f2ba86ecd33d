"""Topics: which part is the space, the sensor and the channel."""

import pytest

from saafe.serving.topics import TopicPlace, Topics


@pytest.mark.parametrize(
    ("pattern", "topic", "place"),
    [
        ("zigbee2mqtt/{space}", "zigbee2mqtt/Kitchen Air", ("Kitchen Air", "Kitchen Air", "")),
        ("kitchen=zigbee2mqtt/Kitchen {sensor}", "zigbee2mqtt/Kitchen Air", ("kitchen", "Air", "")),
        ("kitchen=zigbee2mqtt/Air 7", "zigbee2mqtt/Air 7", ("kitchen", "Air 7", "")),
        ("den=esp/sensor/{channel}/state", "esp/sensor/co2/state", ("den", "den", "co2")),
        ("den=tele/+/SENSOR", "tele/x/SENSOR", ("den", "den", "")),
        ("home/air", "home/air", ("home", "home", "")),
    ],
)
def test_what_a_topic_says(pattern: str, topic: str, place: tuple[str, str, str]) -> None:
    assert Topics([pattern]).place(topic) == TopicPlace(*place)


def test_devices_that_were_named_one_by_one_watch_one_room() -> None:
    """The second was refused as one that gives the first one's channels."""
    topics = Topics(["kitchen=zigbee2mqtt/Air 7", "kitchen=zigbee2mqtt/0x00124b"], ["zigbee2mqtt"])
    places = [topics.place(f"zigbee2mqtt/{name}") for name in ("Air 7", "0x00124b", "Bath")]
    assert [place and place[:2] for place in places] == [
        ("kitchen", "Air 7"), ("kitchen", "0x00124b"), ("Bath", "Bath"),
    ]  # fmt: skip
