"""The web server: a socket, and the application on it until the service stops."""

import asyncio
import ipaddress
import socket
import time
from collections.abc import Iterable
from typing import Any

import uvicorn

from saafe.serving.guard import Guard
from saafe.serving.payloads import Units
from saafe.serving.service import Service
from saafe.serving.web import make_application

STOPS_WITHIN_S = 3
MOST_CONNECTIONS = 500
REQUEST_WITHIN_S = 30.0  # Chosen: a connection's next request must be whole by then
MOST_SILENT = 200  # Chosen: connections of which no request is whole; far under any limit of files
BACKLOG = 128
DOCUMENTATION_NET = "192.0.2.1"  # nobody's address (RFC 5737)


def machine_address(host: str) -> str:
    """An address at which other machines reach one that listens everywhere; "" for none known."""
    try:
        is_everywhere = ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return ""
    if not is_everywhere:
        return ""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        try:
            one.connect((DOCUMENTATION_NET, 9))  # sends nothing: it chooses the way out
        except OSError:
            return ""
        return one.getsockname()[0]


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens at an address.

    Raises:
        OSError: another process does, or the address is not this machine's.
    """
    family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    one = socket.socket(family, socket.SOCK_STREAM)
    try:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        one.bind(address)
        one.listen(128)
    except OSError:
        one.close()
        raise
    return one


def run_application(
    service: Service, listening: socket.socket, *, token: str | None, units: Units
) -> None:
    """Serve until the service stops, or a signal ends the process."""
    application = make_application(service, token=token, units=units)
    asyncio.run(_serve(service, listening, application))


def most_silent() -> int:
    """So many, but no more than a quarter of the files that this process may open."""
    try:
        import resource
    except ImportError:  # Windows
        return MOST_SILENT
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return MOST_SILENT if files == resource.RLIM_INFINITY else min(MOST_SILENT, files // 4)


class SlowConnections:
    """Connections whose clients are to send something, and since when.

    Uvicorn closes a connection that idles after an answer, but waits without end for the first
    request of one, and for the rest of any. Such connections count against the limit, and each
    takes one of the files that a process may open.
    """

    def __init__(self, within_s: float, most: int) -> None:
        """Say how long to wait, and for how many."""
        self.within_s, self.most = within_s, most
        self.since: dict[Any, tuple[Any, float]] = {}  # connection: its last request, when seen

    def close_late(self, connections: Iterable[Any], now_s: float) -> None:
        """Close those that wait too long, and the oldest where too many do.

        To be called several times while a client may wait.
        """
        seen: dict[Any, tuple[Any, float]] = {}
        for one in list(connections):
            if one.timeout_keep_alive_task is not None:
                continue  # idle after an answer: uvicorn closes it
            cycle = one.cycle
            if cycle is not None and not (cycle.more_body or cycle.response_complete):
                continue  # an answer is on its way: a stream of events may take for ever
            last, since = self.since.get(one, (cycle, now_s))
            seen[one] = (cycle, now_s if last is not cycle else since)
        late = [one for one, (_, since) in seen.items() if now_s - since > self.within_s]
        oldest = sorted(seen, key=lambda one: seen[one][1])[: max(0, len(seen) - self.most)]
        for one in {*late, *oldest}:
            one.transport.abort()
        self.since = seen


async def _serve(service: Service, listening: socket.socket, application: Guard) -> None:
    config = uvicorn.Config(
        application, log_level="error", access_log=False, server_header=False, backlog=BACKLOG,
        timeout_keep_alive=15, timeout_graceful_shutdown=STOPS_WITHIN_S,
        limit_concurrency=MOST_CONNECTIONS, lifespan="off", proxy_headers=False, ws="none",
        log_config=None,
    )  # fmt: skip
    server = uvicorn.Server(config)

    def note(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if isinstance(error, OSError) and "accept" in context["message"]:
            service.notes.say("connections", f"no more connections are taken: {error.strerror}")
        else:
            loop.default_exception_handler(context)

    asyncio.get_running_loop().set_exception_handler(note)

    async def end_together() -> None:
        slow = SlowConnections(REQUEST_WITHIN_S, most_silent())
        while not (service.is_stopping.is_set() or server.should_exit):
            await asyncio.sleep(0.2)
            slow.close_late(server.server_state.connections, time.monotonic())
        server.should_exit = True
        service.is_stopping.set()  # streams of events end by it, for which the server waits

    ending = asyncio.create_task(end_together())
    try:
        await server.serve(sockets=[listening])
    finally:
        service.is_stopping.set()
        await ending
