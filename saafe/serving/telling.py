"""Events out: each once, and those of a space in their order, whatever connections come and go."""

import sqlite3
import threading
from collections.abc import Callable
from contextlib import suppress

from saafe.errors import InputError
from saafe.files import json_text
from saafe.serving.on_way import OnWay
from saafe.serving.service import Service

LEFT_AT_ONCE = 500  # Chosen: events of an outage that are read from the store together


class Telling:
    """What tells a service's events to a broker; while that is away, the store keeps them."""

    def __init__(
        self, service: Service, sending: OnWay,
        publish: Callable[[dict, Callable[[], None]], None], is_up: threading.Event,
    ) -> None:  # fmt: skip
        """Take what is on its way, what sends an event, and whether a connection stands."""
        self.service, self.sending, self.publish, self.is_up = service, sending, publish, is_up
        self.untold: set[str] = set()  # spaces whose newest events the store keeps for later
        self.unkept: set[str] = set()  # as text, events on their way that were not kept when said
        self.lock = threading.Lock()  # of the spaces
        self.turn = threading.Lock()  # of one connection's thread at a time

    def begin(self) -> None:
        """Know what the process before this one has left."""
        self.untold.update(self.service.store.undelivered_spaces())

    def say(self, event: dict) -> None:
        """Tell an event that has just become true, now or once its turn comes."""
        if not self._is_kept(event):
            self.tell(event)

    def tell(self, event: dict) -> None:
        """Tell one now; it is delivered once the broker has it."""
        number = event.get("id")
        if number is None:  # the store could not be written
            self.unkept.add(json_text(event))
            self.publish(event, lambda: self._late_told(event))
        elif self.unkept and json_text({k: event[k] for k in event if k != "id"}) in self.unkept:
            return  # by now it is kept; it is on its way already
        elif self.sending.begins(number):
            if self._is_told(number):
                self.sending.ends(number)
            else:
                self.publish(event, lambda: self._told(number))

    def tell_left(self, has_room: Callable[[], bool]) -> None:
        """Tell what the store keeps, few at a time; `has_room` waits, and is False for no more."""
        try:
            with self.turn:
                self._tell_left(has_room)
        except BaseException:
            with self.lock:
                self.untold.clear()  # what comes is told at once
            with suppress(sqlite3.Error, InputError):  # as it ends, or of a damaged file
                raise

    def _tell_left(self, has_room: Callable[[], bool]) -> None:
        last = 0
        while True:
            with self.lock:  # none is kept meanwhile
                left = self.service.store.undelivered(after=last, limit=LEFT_AT_ONCE)
                if not left:
                    self.untold.clear()
                    return
            for event in left:
                if not has_room():
                    return  # the next connection goes on with them
                self.tell(event)
                last = event["id"]

    def _is_kept(self, event: dict) -> bool:
        """Whether the store keeps an event for later: the broker is away, or older ones wait there.

        Those of the same space; else a clear would be told before the alarm that it ends.
        """
        if "id" not in event or not self.service.store.delivers:
            return False
        with self.lock:
            if self.is_up.is_set() and event["space"] not in self.untold:
                return False
            self.untold.add(event["space"])
            return True

    def _is_told(self, number: int) -> bool:
        """Whether an event was told since it was read, or its space has been taken away."""
        store = self.service.store
        try:
            return store.delivers and not store.is_undelivered(number)
        except (sqlite3.Error, InputError):  # a damaged file: better twice than never
            return False

    def _late_told(self, event: dict) -> None:
        self.service.late_delivered(event)
        self.unkept.discard(json_text(event))

    def _told(self, number: int) -> None:
        self.service.delivered(number)  # noted before it may begin anew
        self.sending.ends(number)
