"""Topics: which part is the space, the sensor and the channel."""

import pytest

from saafe.errors import InputError
from saafe.serving.topics import AVAILABILITY, LONGEST_TOPIC, TopicPlace, Topics


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


@pytest.mark.parametrize(
    ("topic", "place"),
    [
        ("zigbee2mqtt/Bath/availability", ("Bath", "Bath")),
        ("zigbee2mqtt/home/den/availability", ("home", "den")),
        ("zigbee2mqtt/Kitchen Air/availability", ("kitchen", "Air")),
        ("zigbee2mqtt/Air 7/availability", ("kitchen", "Air 7")),
        ("zigbee2mqtt/bridge/availability", None),
        ("elsewhere/availability", None),
    ],
)
def test_availability_is_of_the_sensor_whose_topic_stands_before_it(
    topic: str, place: tuple[str, str] | None
) -> None:
    patterns = ["kitchen=zigbee2mqtt/Kitchen {sensor}", "kitchen=zigbee2mqtt/Air 7"]
    found = Topics(patterns, ["zigbee2mqtt"]).place(topic)
    assert found == (place and TopicPlace(*place, AVAILABILITY))


def test_availability_is_listened_to_without_the_preset() -> None:
    topics = Topics(["kitchen=zigbee2mqtt/Air 7", "zigbee2mqtt/+/availability"])
    assert topics.filters == ["zigbee2mqtt/Air 7", "zigbee2mqtt/+/availability"]
    found = topics.place("zigbee2mqtt/Air 7/availability")
    assert found == TopicPlace("kitchen", "Air 7", AVAILABILITY)
    assert topics.place("zigbee2mqtt/lamp/availability") is None


def test_devices_that_were_named_one_by_one_watch_one_room() -> None:
    """The second was refused as one that gives the first one's channels."""
    topics = Topics(["kitchen=zigbee2mqtt/Air 7", "kitchen=zigbee2mqtt/0x00124b"], ["zigbee2mqtt"])
    places = [topics.place(f"zigbee2mqtt/{name}") for name in ("Air 7", "0x00124b", "Bath")]
    assert [place and place[:2] for place in places] == [
        ("kitchen", "Air 7"), ("kitchen", "0x00124b"), ("Bath", "Bath"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("pattern", "says"),
    [
        ("home/{room}", "no part {room}"),
        ("{space}/{space}", "{space} came twice"),
        ("den=home/{space}", "names the space 'den' and {space}"),
        ("=home/{sensor}", "no space before ="),
        ("  ", "no topic"),
        ("den=", "no topic"),
        ("home/{space", "no topic"),
        ("home/\0", "no topic"),
        ("h" * (LONGEST_TOPIC + 1), "no topic"),
        ("$SYS/broker", "topics with $ are the broker's"),
        ("home/a+", "+ stands for a whole level"),
        ("home/#/air", "# for the last ones"),
        ("home/air#", "# for the last ones"),
    ],
)
def test_a_wrong_topic_is_refused_in_one_line(pattern: str, says: str) -> None:
    with pytest.raises(InputError, match=r"^--topic .*; allowed: levels between /") as error:
        Topics([pattern])
    assert says in str(error.value)


def test_no_topics_and_unknown_presets_are_refused() -> None:
    with pytest.raises(InputError, match="no topics: give --preset"):
        Topics([])
    with pytest.raises(InputError, match="--preset zigbee: no such preset"):
        Topics([], ["zigbee"])


def test_what_is_subscribed_to_and_what_of_it_tells_nothing() -> None:
    topics = Topics(["den=x/#", "x/+/{sensor}", "{space}/{sensor}/v"], ["zigbee2mqtt", "esphome"])
    assert topics.filters == [
        "x/#", "x/+/+", "+/+/v", "zigbee2mqtt/+", "zigbee2mqtt/+/+", "+/sensor/+/state",
        "zigbee2mqtt/+/+/availability",
    ]  # fmt: skip
    assert topics.place("x/a/b/c") == TopicPlace("den", "den", "")
    assert topics.place("zigbee2mqtt/Bath/set") is None
    assert topics.place("zigbee2mqtt/bridge/state") is None
    assert topics.place("elsewhere") is None
    assert topics.place("x/" + "a" * LONGEST_TOPIC) is None
    assert topics.place("bath/sensor/co2/state") == TopicPlace("bath", "bath", "co2")
