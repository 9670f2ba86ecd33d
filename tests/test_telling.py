"""Events on their way to a broker: in their order and once, whatever connections come and go."""

import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from serving_fixtures import CALM, eventually

from saafe.errors import InputError
from saafe.serving import (
    Fleet,
    MqttLink,
    MqttOptions,
    Notes,
    Service,
    Store,
    Topics,
    mqtt,
    telling,
)
from saafe.serving.broker import Broker


class Told:
    """A link of which the test is the broker: it says when it is up, and has what."""

    def __init__(self, state: Path | str = ":memory:") -> None:
        self.service = Service(Fleet(CALM), Store(state, delivers=True), Notes([].append))
        options = MqttOptions(topics=Topics((), ("json",)))
        self.link = MqttLink(self.service, Broker("nowhere", 1), options)
        self.link.telling.begin()
        self.out: list[tuple[int, str]] = []  # messages of events: their number, and the topic

        def publish(topic: str, *_: Any) -> SimpleNamespace:
            self.out.append((len(self.out) + 1, topic))
            return SimpleNamespace(mid=len(self.out))

        self.link.client.publish = publish  # type: ignore[method-assign, assignment]

    @property
    def spaces(self) -> list[str]:
        """Whose events were told."""
        return [topic.split("/")[2] for _, topic in self.out]

    def say(self, kind: str, space: str) -> None:
        """An event that is kept, and said."""
        event = {"event": kind, "time_s": 0.0, "space": space, "sensor": "A", "risk": 1.0}
        self.link.say(self.service.store.commit([], [event]))

    def connect(self) -> threading.Thread:
        """A connection stands."""
        self.link.is_up.set()
        thread = threading.Thread(target=self.link._publish_all, daemon=True)
        thread.start()
        return thread

    def has_all(self) -> None:
        """The broker says what it has."""
        for number, _ in self.out:
            if number in self.link.sending.then:
                self.link._on_publish(None, None, number)


def test_an_event_waits_for_older_ones_of_its_space_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clear was told at once, and after it the alarm of the outage, which it had ended."""
    monkeypatch.setattr(mqtt, "MOST_SENDING", 1)
    monkeypatch.setattr(telling, "LEFT_AT_ONCE", 1)
    one = Told()
    one.say("fault", "den")
    one.say("alarm", "hall")
    assert one.out == []
    thread = one.connect()
    eventually(lambda: one.spaces == ["den"])  # the broker takes its time
    one.say("clear", "hall")
    one.say("alarm", "loft")
    assert one.spaces == ["den", "loft"]
    one.has_all()
    eventually(lambda: len(one.out) == 3)
    one.has_all()
    eventually(lambda: len(one.out) == 4)
    one.has_all()
    thread.join(20.0)
    assert one.spaces == ["den", "loft", "hall", "hall"]
    assert (one.service.store.undelivered(), one.link.sending.events) == ([], set())
    one.say("alarm", "hall")
    assert len(one.out) == 5, "nothing waits any more"
    one.service.store.close()


def test_what_was_told_since_it_was_read_is_not_told_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each connection reads what is left, and told anew what the one before it had told since."""
    monkeypatch.setattr(mqtt, "MOST_SENDING", 2)
    one = Told()
    for space in ("hall", "den", "loft", "attic"):
        one.say("alarm", space)
    reads, undelivered = [], one.service.store.undelivered

    def read(**how: int) -> list[dict]:
        reads.append(undelivered(**how))
        return reads[-1]

    monkeypatch.setattr(one.service.store, "undelivered", read)
    first = one.connect()
    eventually(lambda: len(one.out) == 2)
    one.link.is_up.clear()
    first.join(20.0)
    second = one.connect()
    eventually(lambda: [len(found) for found in reads] == [4, 4])  # and waits for room
    one.has_all()
    eventually(lambda: len(one.out) == 4)
    one.has_all()
    second.join(20.0)
    assert one.spaces == ["hall", "den", "loft", "attic"]
    one.service.store.close()


def test_an_event_that_cannot_be_noted_as_told_is_told_once() -> None:
    """On a full disk each connection told all of them again."""
    one = Told()
    one.connect().join(20.0)
    one.say("alarm", "hall")
    one.service.store.base.execute("PRAGMA query_only = 1")  # as a full disk
    one.has_all()
    one.link.is_up.clear()
    one.connect().join(20.0)
    assert one.spaces == ["hall"]
    one.service.store.base.execute("PRAGMA query_only = 0")
    one.service.store.close()


def test_events_of_a_space_that_was_taken_away_are_not_told() -> None:
    one = Told()
    one.say("alarm", "hall")
    one.say("alarm", "den")
    read = one.service.store.undelivered()
    one.service.store.forget_space("hall")
    one.link.is_up.set()
    for event in read:
        one.link.telling.tell(event)
    assert one.spaces == ["den"]
    one.service.store.close()


def test_what_a_process_left_is_told_before_what_comes(tmp_path: Path) -> None:
    one = Told(tmp_path / "state")
    one.say("alarm", "hall")
    one.service.store.close()
    again = Told(tmp_path / "state")
    again.link.is_up.set()
    again.say("clear", "hall")
    assert again.out == []
    again.connect().join(20.0)
    assert again.spaces == ["hall", "hall"]
    again.service.store.close()


def test_a_store_that_cannot_be_read_keeps_nothing_back(monkeypatch: pytest.MonkeyPatch) -> None:
    one = Told()
    one.say("fault", "hall")

    def damaged(**_: Any) -> None:
        raise InputError("is damaged")

    monkeypatch.setattr(one.service.store, "undelivered", damaged)
    one.connect().join(20.0)
    one.say("alarm", "hall")
    assert one.spaces == ["hall"]
    one.service.store.close()
