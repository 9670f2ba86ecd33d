"""MQTT: readings in by their topics, events and states out, over outages of the broker.

A message is acknowledged once its reading is kept, and an event is done with once the broker has
it. So whatever is killed, nothing is lost; what then comes twice is known by its `id`.
"""

import math
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from saafe.errors import InputError
from saafe.files import json_text
from saafe.serving.broker import Broker, Partings, why_unreached
from saafe.serving.doubles import LATEST_REPEAT_S, Givers, Repeats
from saafe.serving.fleet import Arrival
from saafe.serving.home_assistant import (
    Message,
    discovery_messages,
    slug,
    space_topic,
    state_message,
)  # fmt: skip
from saafe.serving.late_readings import LateReadings
from saafe.serving.mqtt_client import FIRST_RETRY_S, MqttClient
from saafe.serving.mqtt_options import MqttOptions
from saafe.serving.on_way import OnWay
from saafe.serving.payloads import read_payload, says_offline
from saafe.serving.service import Service
from saafe.serving.telling import Telling
from saafe.serving.topics import AVAILABILITY, LONGEST_TOPIC, TopicPlace
from saafe.serving.views import is_hushed

SESSION_S = 7 * 86_400  # for so long the broker keeps what comes while we are away
DOUBT_S = 60.0
REFRESH_S = 10.0  # of a risk that has changed
LOOK_S = 2.0
RISK_STEP = 1.0  # percent
MOST_SENDING = 50  # Chosen: states on their way to the broker
SENDING_S = 0.005  # until it is looked again whether they are there
MOST_PASSED = 10_000  # topics that are noted
QOS = 1
NO_USE = "an acknowledgement changes nothing"


class MqttLink:
    """A service's connection to a broker."""

    def __init__(self, service: Service, broker: Broker, options: MqttOptions) -> None:
        """Take the service that gets readings and gives events."""
        self.service, self.broker, self.options = service, broker, options
        self.repeats, self.late = Repeats(), LateReadings()
        self.givers = Givers(100 * service.fleet.most_spaces)
        self.passed: set[str] = set()  # topics of which nothing was read
        self.doubt_s = service.clock_s() + DOUBT_S  # when to say that nothing at all was
        self.sending = OnWay()
        self.connection = 0  # number of the one that stands
        self.is_up, self.is_answered = threading.Event(), threading.Event()
        self.telling = Telling(service, self.sending, self._publish_event, self.is_up)
        self.refused: str | None = None  # why the broker does not let us in
        self.partings = Partings(options.name, is_plain=broker.tls is None, now_s=service.clock_s())
        self.is_closing = False
        self.is_told_up = False  # whether the log's last word is that a connection stands
        self.shown: dict[str, tuple[float, bool, float]] = {}  # space: risk, is hushed, when
        self.announced: set[str] = set()
        self.client = self._client()
        self.refresher = threading.Thread(target=self._refresh, name="saafe-mqtt", daemon=True)

    def _client(self) -> MqttClient:
        client = MqttClient(
            CallbackAPIVersion.VERSION2, self.options.name, protocol=paho.MQTTv5, manual_ack=True
        )
        client.max_inflight_messages_set(500)
        if self.broker.user:
            client.username_pw_set(self.broker.user, self.broker.password)
        if self.broker.tls:
            client.tls_set_context(self.broker.tls)
        client.will_set(self.options.status, "offline", QOS, retain=True)
        client.on_socket_open = lambda *_: self.partings.open(self.service.clock_s())
        client.on_connect = self._on_connect
        client.on_connect_fail = self._on_connect_fail
        client.on_subscribe = self._on_subscribe
        client.on_disconnect = self._on_disconnect
        client.on_message = self._on_message
        client.on_publish = self._on_publish
        return client

    def start(self) -> None:
        """Connect before the service starts to watch; where the broker is away, go on trying.

        Raises:
            InputError: the host or its certificate is wrong, or the broker does not let us in.
        """
        since_s = self.service.clock_s() - LATEST_REPEAT_S
        for _, one in self.service.store.readings(since_s):
            self.repeats.has(one)
            self.late.late_s(one)
        self.telling.begin()
        self.service.listeners.append(self.say)
        self.service.forgetters.append(self.forget)
        self.service.troubles.append(lambda: self.partings.trouble(self.service.clock_s()))
        self.service.counters.add_gauge(
            "saafe_broker_connected", "1 where the connection to the broker stands.",
            self.is_up.is_set,
        )  # fmt: skip
        properties = Properties(PacketTypes.CONNECT)
        properties.SessionExpiryInterval = SESSION_S
        where = (self.broker.host, self.broker.port, 30)
        self.client.connect_async(*where, clean_start=False, properties=properties)
        try:
            self.client.reconnect()
        except ssl.SSLError as error:
            raise InputError(f"{self.broker}: {why_unreached(error, never_tls=True)}") from None
        except socket.gaierror:
            raise InputError(f"{self.broker}: no such host") from None
        except OSError as error:
            self._on_connect_fail(self.client, error)
            self.is_answered.set()
        self.client.start()
        self.is_answered.wait(10.0)
        if self.refused:
            reason, self.is_closing = self.refused, True
            self.client.close()
            raise InputError(f"{self.broker}: does not let us in ({reason}); see --password-file")
        self.refresher.start()

    def stop(self) -> None:
        """Say that this process ends, and leave; the broker keeps what comes from now on."""
        self.is_closing = True
        if self.is_up.is_set():
            last = self._publish(self.options.status, b"offline", retain=True)
            with suppress(RuntimeError, ValueError):  # the connection went first: the will says it
                last.wait_for_publish(3.0)
        self.client.close()

    def say(self, events: list[dict]) -> None:
        """Publish events and the states that they change."""
        for event in events:
            self.telling.say(event)
        self._publish_states(dict.fromkeys(event["space"] for event in events))

    def forget(self, name: str) -> None:
        """Take back what the broker keeps of a space: Home Assistant drops its device."""
        options = self.options
        topics = [space_topic(options.base, name, "state")]
        if options.discovery:
            messages = discovery_messages(options.base, options.discovery, options.status, name)
            topics += [topic for topic, _ in messages]
        with self.service.lock:
            self.announced.discard(name)
            self.shown.pop(name, None)
        for topic in topics:
            self._publish(topic, b"", retain=True)

    # --- out

    def _publish_event(self, event: dict, done: Callable[[], None]) -> None:
        topic = space_topic(self.options.base, event["space"], "event")
        self._publish(topic, json_text(event).encode(), done)

    def _state_messages(self, name: str) -> list[Message]:
        """The retained state of a space, and what it is where that is new; [] while there is none.

        To be called while the fleet does nothing else.
        """
        space = self.service.fleet.spaces.get(name)
        if space is None or not self.is_up.is_set():
            return []  # all states follow once there is a connection
        messages: list[Message] = []
        if name not in self.announced:
            self.announced.add(name)
            if self.options.discovery:
                messages += discovery_messages(
                    self.options.base, self.options.discovery, self.options.status, name
                )
        now_s = self.service.clock_s()
        messages.append(state_message(self.options.base, space, now_s))
        self.shown[name] = (messages[-1][1]["risk"], is_hushed(space, now_s), now_s)
        return messages

    def _publish_states(self, names: Iterable[str]) -> None:
        """Publish the states of spaces, and let the fleet work in between."""
        for name in names:
            with self.service.lock:
                messages = self._state_messages(name)
            for topic, payload in messages:
                self._publish(topic, json_text(payload).encode(), retain=True)
            if messages and name not in self.service.fleet.spaces:  # taken away meanwhile
                self.forget(name)

    def _publish_in_turn(self, names: Iterable[str]) -> None:
        """Publish states of many spaces, few at a time: an alarm waits for what is before it."""
        for name in names:
            if not self._has_room():
                return  # all states follow once there is a connection
            self._publish_states([name])

    def _has_room(self) -> bool:
        """Wait until few messages are on their way; False where there is no connection."""
        while len(self.sending) >= MOST_SENDING and self.is_up.is_set() and not self.is_closing:
            time.sleep(SENDING_S)
        return self.is_up.is_set() and not self.is_closing

    def _publish(
        self, topic: str, payload: bytes, done: Callable[[], None] = lambda: None,
        *, retain: bool = False,
    ) -> Any:  # fmt: skip
        """Publish at least once, over outages; `done` is called when the broker has it."""
        sent = self.client.publish(topic, payload, QOS, retain)
        self.sending.sent(sent.mid, done)  # paho may have called `_on_publish` already
        return sent

    def _on_publish(self, _client: Any, _data: Any, mid: int, *_: Any) -> None:
        self.sending.arrived(mid)

    def _refresh(self) -> None:
        """Publish risks that have changed, and that a space is hushed no more, now and then."""
        while not self.is_closing and not self.service.is_stopping.wait(LOOK_S):
            if not self.is_up.is_set():
                continue
            now_s = self.service.clock_s()
            if now_s >= self.doubt_s:
                self.doubt_s = math.inf
                example = f", such as {min(self.passed)}" if self.passed else ""
                self.service.notes.say("nothing", f"{self.broker}: no reading within a minute; "
                                       f"{len(self.passed)} topics passed over{example}; "
                                       "see --preset and --topic")  # fmt: skip
            with self.service.lock:
                changed = [
                    name
                    for name, space in self.service.fleet.spaces.items()
                    if self._has_changed(name, space, now_s)
                ]
            self._publish_in_turn(changed)

    def _has_changed(self, name: str, space: Any, now_s: float) -> bool:
        risk, was_hushed, when_s = self.shown.get(name, (-RISK_STEP, False, -REFRESH_S))
        if now_s - when_s < REFRESH_S:
            return False
        risks = [one.risk for one in space.detector.space.sensors.values()]
        is_over = was_hushed and not is_hushed(space, now_s)
        return is_over or abs(max(risks, default=0.0) - risk) >= RISK_STEP

    # --- the connection

    def _on_connect(self, _client: Any, _data: Any, flags: Any, reason: Any, *_: Any) -> None:
        self.partings.is_answered = True
        if reason.is_failure:
            self.refused = str(reason)
            self._say_down("broker", f"does not let us in ({reason})", str(reason))
            self.is_answered.set()
            return
        self.refused, self.client.retry_s = None, FIRST_RETRY_S
        self.connection += 1
        self.partings.begin(self.service.clock_s())
        self.announced.clear()
        retain = SubscribeOptions.RETAIN_DO_NOT_SEND
        how = SubscribeOptions(QOS, retainHandling=retain)
        others = SubscribeOptions(QOS, noLocal=True, retainHandling=retain)  # not what we say
        status = (self.options.status, others)
        self.client.subscribe([*((text, how) for text in self.options.filters()), status])
        self._publish(self.options.status, b"online", retain=True)
        if self.connection > 1 and not flags.session_present:
            self.service.notes.say(
                "session", f"{self.broker}: has forgotten us: what it held back is lost; "
                "let it keep sessions (persistence true)"
            )  # fmt: skip
        self.is_up.set()
        threading.Thread(target=self._publish_all, daemon=True).start()

    def _on_subscribe(self, _client: Any, _data: Any, _id: Any, reasons: Any, *_: Any) -> None:
        """From here on the broker passes readings on to us; before, it may not have."""
        asked = zip(self.options.filters(), reasons, strict=False)  # our own status comes last
        if closed := [text for text, reason in asked if reason.is_failure]:
            self.service.notes.say(
                "closed", f"{self.broker}: does not let us listen to {', '.join(closed)}; "
                "see the rights of our user there"
            )  # fmt: skip
        listens = ", ".join(self.options.topics.filters)
        if not self.is_told_up:
            self.is_told_up = True
            self.service.notes.tell(f"{self.broker}: connected; listens to {listens}")
        self.is_answered.set()

    def _publish_all(self) -> None:
        """Events that nobody was told, and the states of all spaces: what we were away from."""
        self.telling.tell_left(self._has_room)
        with self.service.lock:
            names = list(self.service.fleet.spaces)
        self._publish_in_turn(names)

    def _on_connect_fail(self, _client: Any, error: Any = None, *_: Any) -> None:
        is_first = self.connection == 0
        why = why_unreached(error, never_tls=is_first and self.broker.tls is not None)
        self._say_down("broker", f"{why}; trying again", why)

    def _on_disconnect(self, _client: Any, _data: Any, _flags: Any, reason: Any, *_: Any) -> None:
        self.is_up.clear()
        if not self.is_closing:
            kind, text = self.partings.end(self.service.clock_s(), reason)
            self._say_down(kind, text)

    def _say_down(self, kind: str, text: str, subject: str = "") -> None:
        """Say why there is no connection; where that was said, so is the next one that stands."""
        if self.service.notes.say(kind, f"{self.broker}: {text}", subject):
            self.is_told_up = False

    # --- in

    def _on_message(self, client: Any, _data: Any, message: paho.MQTTMessage) -> None:
        """Take one message; nothing that comes ends the connection."""
        connection = self.connection

        def done(_why: str = "") -> None:
            # on another connection the number may be another message's; the broker repeats this
            if message.qos and connection == self.connection:
                client.ack(message.mid, message.qos)

        topic = "?"
        try:
            topic = message.topic
            self._take(message, topic, done)
        except (InputError, UnicodeDecodeError) as error:  # a topic may be no text
            self._refuse("payload", f"{topic[:100]}: {error}", topic)
            done()
        except Exception as error:  # a bug of ours must not silence the other sensors
            self._refuse("internal", f"a message could not be read: {error!r}")
            done()

    def _take(self, message: paho.MQTTMessage, topic: str, done: Callable[[str], None]) -> None:
        options = self.options
        if message.retain:  # of some time ago, and nobody knows of which
            return self._leave("retained", done)
        if topic == options.status:
            self._hear_other(bytes(message.payload))
            return done("")
        if topic.startswith(options.inbox):
            topic = topic.removeprefix(options.inbox)
        elif topic.startswith(f"{options.base}/spaces/") and topic.endswith("/acknowledge"):
            return self._acknowledge(topic.split("/")[-2], done)
        elif topic.startswith((f"{options.base}/", f"{options.discovery or options.base}/")):
            return self._leave("own topic", done)
        place = options.topics.place(topic)
        if place is None:
            return self._pass_over("topic", topic, done)
        if (owner := options.owner(place.space)) != options.worker:
            self.service.counters.refused("forwarded")
            return self._publish(
                f"{options.base}/worker/{owner}/{topic}", bytes(message.payload), lambda: done("")
            )
        if place.channel == AVAILABILITY:
            return self._hear_availability(place, message, done)
        cells = read_payload(bytes(message.payload), place.channel, options.units)
        if not cells:
            return self._pass_over("no channel", topic, done)
        self.doubt_s = math.inf
        reading = Arrival(place.space, place.sensor, cells, self.service.clock_s())
        if self.repeats.has(reading, is_marked=message.dup):
            return self._leave("repeated", done)
        if other := self.givers.other(topic, reading):
            self._refuse("second", f"{topic}: {other} gives the same channel of {place.sensor!r}; "
                         "name sensors apart with --topic", topic)  # fmt: skip
            return done("")
        if late_s := self.late.late_s(reading):
            self._refuse("late", f"{topic}: a reading of {late_s:,.0f} s before the newest of "
                         f"{place.sensor!r} is left out", topic)  # fmt: skip
            return done("")
        return self._offer(reading, done)

    def _hear_availability(
        self, place: TopicPlace, message: paho.MQTTMessage, done: Callable[[str], None]
    ) -> None:
        """A bridge says that a sensor is away; that it is back, its own readings say."""
        if not says_offline(bytes(message.payload)):
            return self._leave("availability", done)
        one = Arrival(place.space, place.sensor, {}, self.service.clock_s(), is_offline=True)
        if self.repeats.has(one, is_marked=message.dup):  # a reading may have come since
            return self._leave("repeated", done)
        return self._offer(one, done)

    def _offer(self, one: Arrival, done: Callable[[str], None]) -> None:
        """Have something taken; where there is no room, the broker holds the rest back."""
        while not self.service.offer(one, done, wait_s=1.0):
            if self.service.is_stopping.is_set():
                return

    def _leave(self, reason: str, done: Callable[[str], None]) -> None:
        """Count a message that is not used."""
        self.service.counters.refused(reason)
        done("")

    def _pass_over(self, reason: str, topic: str, done: Callable[[str], None]) -> None:
        """Count a message that tells nothing."""
        if len(self.passed) < MOST_PASSED:
            self.passed.add(topic[:LONGEST_TOPIC])
        self._leave(reason, done)

    def _hear_other(self, said: bytes) -> None:
        """Another process says that we are on or off; while we are on, that is what stands."""
        if self.is_closing:
            return
        if said != b"online":
            self._publish(self.options.status, b"online", retain=True)
        word = said[:20].decode(errors="replace")
        text = f'another process says "{word}" there; give each saafe a --base of its own'
        self.service.notes.say("base", f"{self.options.status}: {text}")

    def _acknowledge(self, name: str, done: Callable[[str], None]) -> None:
        with self.service.lock:  # else sensors come while they are gone through
            # of all that are watched: what the broker kept comes before we have announced any
            space = next((one for one in self.service.fleet.spaces if slug(one) == name), None)
            if space is not None:
                watched = self.service.fleet.spaces[space].detector.space
                before_s = watched.hushed_until_s
        if space is None:
            if self.options.workers == 1:  # else it may be another worker's
                self._say_of(name[:100], f"no such space is watched: {NO_USE}")
            return done("")

        def answer(why: str) -> None:
            if watched.hushed_until_s <= before_s:
                self._say_of(space, f"nothing is raised: {NO_USE}")
            self._publish_states([space])
            done(why)

        one = Arrival(space, "-", {}, self.service.clock_s(), is_acknowledgement=True)
        if not self.service.offer(one, answer, wait_s=5.0):  # kept, it would end a later alarm
            self._say_of(space, "too much waits: acknowledge it again")
            done("")
        return None

    def _say_of(self, space: str, text: str) -> None:
        """Say what became of an acknowledgement."""
        self.service.notes.say("acknowledge", f"{space}: {text}", space + text)

    def _refuse(self, kind: str, text: str, subject: str = "") -> None:
        self.service.counters.refused(kind)
        self.service.notes.say(kind, text, subject)
