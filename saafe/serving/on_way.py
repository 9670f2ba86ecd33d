"""What is on its way to a broker: messages, and the events that they tell."""

import threading
from collections.abc import Callable


class OnWay:
    """Messages that the broker has not yet, and what to do once each is there; for any thread."""

    def __init__(self) -> None:
        """Begin with none."""
        self.then: dict[int, Callable[[], None]] = {}  # by the message's number
        self.there: set[int] = set()  # messages that were there before we knew their number
        self.events: set[int] = set()  # numbers of those that some of them tell
        self.lock = threading.Lock()

    def __len__(self) -> int:
        """How many messages."""
        return len(self.then)

    def sent(self, number: int, then: Callable[[], None]) -> None:
        """Note a message that was just given away, or do at once what follows on it."""
        with self.lock:
            is_there = number in self.there
            self.there.discard(number)
            if not is_there:
                self.then[number] = then
        if is_there:
            then()

    def arrived(self, number: int) -> None:
        """The broker has a message: do what follows on it."""
        with self.lock:
            then = self.then.pop(number, None)
            if then is None:
                self.there.add(number)
        if then is not None:
            then()

    def begins(self, event: int) -> bool:
        """Whether an event is not on its way yet; from now on it is."""
        with self.lock:
            is_new = event not in self.events
            self.events.add(event)
            return is_new

    def ends(self, event: int) -> None:
        """An event is no more on its way."""
        with self.lock:
            self.events.discard(event)
