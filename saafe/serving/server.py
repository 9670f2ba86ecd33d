"""The web server: a socket, and the application on it until the service stops."""

import asyncio
import ipaddress
import socket

import uvicorn

from saafe.serving.guard import Guard
from saafe.serving.payloads import Units
from saafe.serving.service import Service
from saafe.serving.web import make_application

STOPS_WITHIN_S = 3
MOST_CONNECTIONS = 500
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


async def _serve(service: Service, listening: socket.socket, application: Guard) -> None:
    config = uvicorn.Config(
        application, log_level="warning", access_log=False, server_header=False,
        timeout_keep_alive=15, timeout_graceful_shutdown=STOPS_WITHIN_S,
        limit_concurrency=MOST_CONNECTIONS, lifespan="off", proxy_headers=False, ws="none",
        log_config=None,
    )  # fmt: skip
    server = uvicorn.Server(config)

    async def end_together() -> None:
        while not (service.is_stopping.is_set() or server.should_exit):
            await asyncio.sleep(0.2)
        server.should_exit = True
        service.is_stopping.set()  # streams of events end by it, for which the server waits

    ending = asyncio.create_task(end_together())
    try:
        await server.serve(sockets=[listening])
    finally:
        service.is_stopping.set()
        await ending
