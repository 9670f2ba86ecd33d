"""Where a broker is and how to get in: `mqtt://HOST[:PORT]`, `mqtts://` over TLS."""

import hashlib
import math
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from saafe.errors import InputError
from saafe.serving.fleet import iso_time

PORTS = {"mqtt": 1883, "mqtts": 8883}
MACHINE_ID = Path("/etc/machine-id")
# Chosen: so many connections in a row of so few seconds are no chance
BRIEF_S, BRIEF_ONES = 10.0, 3
AWAY_S = 15.0  # Chosen: a broker that starts anew is back by then
TLS_FAILED = "TLS failed ({}); see --ca and --cert"
NO_TLS = "speaks no TLS there ({}); name its TLS port, usually 8883, or mqtt:// for none"
NO_ANSWER = "connection lost before any answer ({}); does it want mqtts://?"  # a TLS port ends it
NO_TLS_REASON = "WRONG_VERSION_NUMBER"  # OpenSSL's words where a greeting's answer is none of TLS
ENDED_GREETING = (ssl.SSLEOFError, ssl.SSLZeroReturnError)  # no answer; the second by Python 3.11.2


@dataclass(frozen=True)
class Broker:
    """An MQTT broker."""

    host: str
    port: int
    user: str | None = None
    password: str | None = None
    tls: ssl.SSLContext | None = None

    def __str__(self) -> str:
        """For people: no password."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'mqtts' if self.tls else 'mqtt'}://{host}:{self.port}"


def find_broker(
    url: str,
    *,
    password_file: Path | None = None,
    ca: Path | None = None,
    cert: Path | None = None,
    key: Path | None = None,
) -> Broker:
    """The broker of a URL such as `mqtts://saafe@broker.lan:8883`.

    Args:
        url: with the user before @, if there is one.
        password_file: its first line is the password.
        ca: certificates that the broker's must be signed by; by default the system's.
        cert: our certificate.
        key: of our certificate, where it stands in a file of its own.

    Raises:
        InputError: it is no such URL, holds a password, or a file cannot be used.
    """
    if ":" in url.rpartition("@")[0].rpartition("://")[2]:  # before any error that shows the URL
        raise InputError("a password in a URL is seen by everybody; use --password-file FILE")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise InputError(f"{url}: {error}; allowed: mqtt://HOST[:PORT] or mqtts://") from None
    if parts.scheme not in PORTS or not parts.hostname or parts.path.strip("/") or parts.query:
        raise InputError(f"{url}: is no broker; allowed: mqtt://HOST[:PORT] or mqtts://HOST[:PORT]")
    user = unquote(parts.username) if parts.username else None
    password = read_secret(password_file, "--password-file") if password_file else None
    if password is not None and user is None:
        raise InputError(f"--password-file: whose? name the user: {parts.scheme}://USER@HOST")
    tls = None
    if parts.scheme == "mqtts":
        tls = tls_context(ca, cert, key)
    elif ca or cert or key:
        raise InputError("--ca, --cert and --key are for mqtts://HOST")
    return Broker(parts.hostname, port or PORTS[parts.scheme], user, password, tls)


def tls_context(ca: Path | None, cert: Path | None, key: Path | None) -> ssl.SSLContext:
    """How to check the broker's certificate, and to show our own."""
    if key and not cert:
        raise InputError("--key: give its certificate too, with --cert FILE")
    for option, path in (("--ca", ca), ("--cert", cert), ("--key", key)):
        if path and not path.is_file():
            raise InputError(f"{option} {path}: no such file")
    try:
        context = ssl.create_default_context(cafile=ca)
        if cert:
            context.load_cert_chain(cert, key, password="")  # never asks at a terminal
    except (ssl.SSLError, OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise InputError(f"--ca, --cert or --key cannot be used ({reason}); give PEM") from None
    return context


def why_unreached(error: BaseException | None, *, never_tls: bool) -> str:
    """Why no connection came about, in words.

    `never_tls`: TLS was asked for and never stood. A server without it just ends a greeting of it;
    so does what stands before a broker that starts anew.
    """
    reason = getattr(error, "strerror", None) or "no answer"
    if isinstance(error, ssl.SSLError):
        reason = getattr(error, "verify_message", "") or error.reason or str(error)
        is_plain = never_tls and (isinstance(error, ENDED_GREETING) or reason == NO_TLS_REASON)
        return NO_TLS.format(reason) if is_plain else TLS_FAILED.format(reason)
    is_plain = never_tls and isinstance(error, ConnectionResetError)
    return NO_TLS.format(reason) if is_plain else reason


def read_secret(path: Path, option: str) -> str:
    """The first line of a file.

    Raises:
        InputError: it cannot be read, or is empty.
    """
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "is no text"
        raise InputError(f"{option} {path}: cannot be read ({reason})") from None
    if not lines or not lines[0].strip():
        raise InputError(f"{option} {path}: is empty; write the secret in its first line")
    return lines[0].strip()


class Partings:
    """Why connections end.

    One that the broker ends after seconds, and the next ones too, is taken by another client of
    our name: each drives the other out, and readings are lost between.
    """

    def __init__(self, name: str, *, is_plain: bool = False, now_s: float = 0.0) -> None:
        """Take our name at the broker, and whether we speak to it without TLS."""
        self.name, self.begun_s, self.brief = name, -math.inf, 0
        self.is_plain, self.opened_s = is_plain, -math.inf
        self.is_up, self.down_s = False, now_s  # since when none stands, where none does
        self.is_answered = False  # whether the broker has ever let us in, or refused to

    def open(self, now_s: float) -> None:
        """We begin to speak to whoever listens there."""
        self.opened_s = now_s

    def begin(self, now_s: float) -> None:
        """A connection stands."""
        self.is_up, self.begun_s = True, now_s

    def end(self, now_s: float, reason: object) -> tuple[str, str]:
        """What to say of one that was lost, or was none: its kind, and a text."""
        self.is_up, self.down_s = False, now_s if self.is_up else self.down_s
        if self.is_plain and not self.is_answered and now_s - self.opened_s < BRIEF_S:
            return "lost", NO_ANSWER.format(reason)
        self.brief = self.brief + 1 if now_s - self.begun_s < BRIEF_S else 0
        if self.brief < BRIEF_ONES:
            return "lost", f"connection lost ({reason})"
        return "taken", (
            f"connection lost again and again within seconds: is another client called "
            f"{self.name}, as on a machine with the same host name? give one another --state"
        )

    def trouble(self, now_s: float) -> str:
        """What people are to know, seconds since 1970; "" where one stands or did of late."""
        if self.is_up or now_s - self.down_s < AWAY_S:
            return ""
        return f"no connection to the broker since {iso_time(self.down_s)}"


def client_name(state: str, worker: int) -> str:
    """What the broker knows a process by: the same after a restart, another for another one.

    Machines of one host name, as of one image, are told apart by machine-id(5), where there is one.
    """
    machine = MACHINE_ID.read_text().strip() if MACHINE_ID.is_file() else ""
    text = f"{socket.gethostname()} {machine} {Path(state).absolute()} {worker}"
    return f"saafe-{hashlib.sha256(text.encode()).hexdigest()[:12]}"
