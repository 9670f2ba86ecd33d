"""paho's client on a thread of ours, which reads and writes many messages at once.

Python has one lock, which every call of the system lets go and then waits for, up to `SWITCH_S`
while another thread computes. paho's own loop makes some nine such calls a message: select, three
reads, an acknowledgement, and what wakes its thread. Beside a thread that judges readings that
is a message in some milliseconds, whatever the machine could do. Here it is a few calls for all
that has come.
"""

import select
import socket
import threading
from contextlib import suppress
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import MQTTErrorCode

READ_AT_ONCE = 65_536  # bytes
FIRST_RETRY_S, SLOWEST_RETRY_S = 1.0, 60.0
LONGEST_SELECT_S = 1.0  # paho looks after its pings so often


class BufferedSocket:
    """A socket that is read in large pieces, and written when it is flushed."""

    def __init__(self, inner: Any) -> None:
        """Take a connected socket, plain or of TLS."""
        self.inner = inner
        self.unread, self.at = b"", 0
        self.unsent = bytearray()

    def __getattr__(self, name: str) -> Any:
        """All else is the socket's own."""
        return getattr(self.inner, name)

    def fileno(self) -> int:
        """For `select`."""
        return self.inner.fileno()

    def pending(self) -> int:
        """Bytes that have come and can be read without asking the system."""
        hidden = getattr(self.inner, "pending", None)  # of TLS
        return len(self.unread) - self.at + (hidden() if hidden else 0)

    def recv(self, size: int) -> bytes:
        """Up to `size` bytes; b"" at the end. BlockingIOError where none has come."""
        if self.at == len(self.unread):
            self.unread, self.at = b"", 0
            self.unread = self.inner.recv(READ_AT_ONCE)
        part = self.unread[self.at : self.at + size]
        self.at += len(part)
        return part

    def send(self, data: bytes) -> int:
        """Keep bytes for the next flush; how many."""
        self.unsent += data
        return len(data)

    def flush(self) -> None:
        """Send what the system takes now; where the connection is gone, reading says so."""
        with suppress(OSError):
            while self.unsent:
                del self.unsent[: self.inner.send(self.unsent)]

    def close(self) -> None:
        """Send what is left, and close."""
        self.flush()
        self.inner.close()


class MqttClient(paho.Client):
    """A client with a thread that connects, and connects again, until it is closed."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """As paho's."""
        super().__init__(*args, **kwargs)
        self.retry_s = FIRST_RETRY_S  # until the next attempt
        self.is_closing = threading.Event()
        self._awake: socket.socket | None = None  # while the thread runs
        self._waker: socket.socket | None = None
        self.on_socket_register_write = lambda *_: self._wake()
        self.runner = threading.Thread(target=self._run, name="saafe-mqtt-io", daemon=True)

    def start(self) -> None:
        """Begin to read and write, after `connect_async`."""
        self._awake, self._waker = socket.socketpair()
        for one in (self._awake, self._waker):
            one.setblocking(False)
        self.runner.start()

    def close(self) -> None:
        """Send what waits, leave the broker, and end the thread."""
        self.is_closing.set()
        self.disconnect()
        self._wake()
        if self.runner.ident is not None:  # it was started
            self.runner.join(10.0)
        for one in (self._awake, self._waker):
            if one is not None:
                one.close()

    # --- what paho asks for

    def _create_socket(self) -> Any:
        return BufferedSocket(super()._create_socket())

    def _ssl_wrap_socket(self, tcp_sock: Any) -> Any:
        """Paho's own leaves the socket open where the two do not agree on TLS."""
        assert self._ssl_context is not None, "TLS was asked for"
        one = self._ssl_context.wrap_socket(
            tcp_sock, server_hostname=self.host, do_handshake_on_connect=False
        )
        try:
            one.settimeout(self.connect_timeout)
            one.do_handshake()
        except OSError:
            one.close()
            raise
        return one

    def loop_read(self, max_packets: int = 1) -> MQTTErrorCode:
        """Take all that has come."""
        done = super().loop_read(max_packets)
        while done == MQTTErrorCode.MQTT_ERR_SUCCESS and self._pending():
            done = super().loop_read(max_packets)
        return done

    def loop_write(self) -> MQTTErrorCode:
        """Send all that waits."""
        done = super().loop_write()
        if isinstance(one := self.socket(), BufferedSocket):
            one.flush()
        return done

    def want_write(self) -> bool:
        """Whether anything waits to be sent."""
        return super().want_write() or bool(getattr(self.socket(), "unsent", b""))

    # --- the thread

    def _pending(self) -> int:
        one: Any = self.socket()
        return one.pending() if one is not None else 0

    def _wake(self) -> None:
        if self._waker is not None:
            with suppress(OSError):  # full: it is awake; closed: it has ended
                self._waker.send(b"0")

    def _run(self) -> None:
        awake = self._awake
        assert awake is not None, "the thread is begun by `start`"
        while True:
            one = self.socket()
            if one is not None:
                self._turn(one, awake)
            elif self.is_closing.is_set():
                return
            elif not self.is_closing.wait(self.retry_s):
                self.retry_s = min(2.0 * self.retry_s, SLOWEST_RETRY_S)
                try:
                    self.reconnect()
                except OSError as error:
                    if self.on_connect_fail:
                        self.on_connect_fail(self, error)

    def _turn(self, one: Any, awake: socket.socket) -> None:
        """Wait until there is something to do, and do it."""
        writes = [one] if self.want_write() else []
        rest_s = 0.0 if self._pending() else LONGEST_SELECT_S
        try:
            readable, writable, _ = select.select([one, awake], writes, [], rest_s)
        except (OSError, ValueError):  # it has just been closed
            return
        if awake in readable:
            with suppress(BlockingIOError):
                awake.recv(READ_AT_ONCE)
        if one in readable or self._pending():
            self.loop_read()
        if writable or self.want_write():
            self.loop_write()
        self.loop_misc()
