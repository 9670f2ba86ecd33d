"""Who may ask, how much and how often: a door before the web application."""

import hmac
import ipaddress
import json
import re
import secrets
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

LARGEST_BODY = 1 << 20  # bytes: 1,000 readings and more
REQUESTS_PER_S, REQUESTS_AT_ONCE = 50.0, 200.0  # Chosen: of one address
WRONG_PER_S, WRONG_AT_ONCE = 0.2, 10.0  # Chosen: wrong tokens of one address
KEPT_ADDRESSES = 4096
NO_USER = re.compile(r"(\w+:)?//[^@#?/\\\s]*/?")
OPEN_PATHS = {"/", "/health"}  # and the page's own files: none holds anything of a home
HEADERS = (
    (b"content-security-policy",
     b"default-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none';"
     b" form-action 'none'"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
)  # fmt: skip

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class Allowance:
    """So many a second for each address, and so many at once."""

    def __init__(self, per_s: float, at_once: float) -> None:
        """Begin with full allowances."""
        self.per_s, self.at_once = per_s, at_once
        self.left: OrderedDict[str, tuple[float, float]] = OrderedDict()  # address: (left, when)

    def has(self, address: str, now_s: float, *, cost: float = 1.0) -> bool:
        """Whether an address has something left; it is taken."""
        left, when = self.left.pop(address, (self.at_once, now_s))
        left = min(left + (now_s - when) * self.per_s, self.at_once)
        is_enough = left >= 1.0
        self.left[address] = (left - cost if is_enough else left), now_s
        if len(self.left) > KEPT_ADDRESSES:
            self.left.popitem(last=False)
        return is_enough


def new_token() -> str:
    """A token that nobody guesses."""
    return secrets.token_urlsafe(24)


class Guard:
    """An ASGI application around another one."""

    def __init__(self, inner: Any, token: str | None) -> None:
        """Take the application and the token that requests must carry; None on loopback alone."""
        self.inner, self.token = inner, token
        self.requests = Allowance(REQUESTS_PER_S, REQUESTS_AT_ONCE)
        self.wrong = Allowance(WRONG_PER_S, WRONG_AT_ONCE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or let the application do it."""
        if scope["type"] != "http":
            await self.inner(scope, receive, send)
            return
        headers = {k.decode("latin-1").lower(): v.decode("latin-1") for k, v in scope["headers"]}
        refusal = self._refusal(scope, headers)
        if refusal:
            await answer(send, *refusal)
            return
        body = Body(receive)

        async def with_headers(message: MutableMapping[str, Any]) -> None:
            if body.is_too_large:  # whatever the application made of that
                return
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *HEADERS]
            await send(message)

        await self.inner(scope, body.piece, with_headers)
        if body.is_too_large:
            await answer(send, *TOO_LARGE)

    def _refusal(self, scope: Scope, headers: dict[str, str]) -> tuple[int, str, str] | None:
        """Status, what to say and when to try again, where a request may not pass."""
        address, now_s = (scope.get("client") or ("", 0))[0], time.monotonic()
        if not self.requests.has(address, now_s):
            return 429, f"too many requests; allowed: {REQUESTS_PER_S:g} a second", "1"
        if int(headers.get("content-length") or 0) > LARGEST_BODY:
            return TOO_LARGE
        is_open = scope["path"] in OPEN_PATHS or scope["path"].startswith("/page/")
        if self.token is None:
            return self._foreign(headers)
        if is_open:
            return None
        if not self.wrong.has(address, now_s, cost=0.0):
            return 429, "too many wrong tokens; wait a little", "30"
        scheme, _, given = headers.get("authorization", "").partition(" ")
        is_right = hmac.compare_digest(given.strip().encode("latin-1"), self.token.encode())
        if scheme.lower() != "bearer" or not is_right:
            self.wrong.has(address, now_s)
            return 401, "no token, or a wrong one; send `Authorization: Bearer TOKEN`", ""
        return None

    def _foreign(self, headers: dict[str, str]) -> tuple[int, str, str] | None:
        """Refuse what another site's page sends through a browser to this machine."""
        names = [host_of(f"//{headers.get('host', '')}")]
        if origin := headers.get("origin"):
            names.append(host_of(origin))
        if all(name is not None and is_loopback(name) for name in names):
            return None
        return 403, "only this machine may ask without a token; see --token-file", ""


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def host_of(url: str) -> str | None:
    """The machine that an address names; None where it names none, such as `http://[::1`."""
    if not NO_USER.fullmatch(url):  # as `evil.com@127.0.0.1`
        return None
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None


TOO_LARGE = (413, f"too large; allowed: {LARGEST_BODY} bytes", "")


class Body:
    """The pieces of a request's body, up to what is allowed."""

    def __init__(self, receive: Receive) -> None:
        """Take what receives them."""
        self.receive, self.came = receive, 0

    @property
    def is_too_large(self) -> bool:
        """Whether it goes on beyond what is allowed."""
        return self.came > LARGEST_BODY

    async def piece(self) -> MutableMapping[str, Any]:
        """The next one; beyond what is allowed it is as if the client had gone."""
        message = await self.receive()
        self.came += len(message.get("body", b""))
        return {"type": "http.disconnect"} if self.is_too_large else message


async def answer(send: Send, status: int, error: str, retry_after_s: str) -> None:
    """Send a refusal."""
    body = json.dumps({"error": error}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    if retry_after_s:
        headers.append((b"retry-after", retry_after_s.encode()))
    if status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    await send({"type": "http.response.start", "status": status, "headers": [*headers, *HEADERS]})
    await send({"type": "http.response.body", "body": body})
