"""How much an address may ask, and that nobody fills the memory with addresses."""

import asyncio
from collections.abc import MutableMapping
from typing import Any

import pytest

from saafe.serving import guard
from saafe.serving.guard import Allowance, Guard, new_token


def test_an_allowance_is_spent_and_comes_back_with_time() -> None:
    allowance = Allowance(per_s=2.0, at_once=3.0)
    assert [allowance.has("a", 100.0) for _ in range(4)] == [True, True, True, False]
    assert allowance.has("b", 100.0)  # another's is its own
    assert not allowance.has("a", 100.4)
    assert allowance.has("a", 100.5)
    assert not allowance.has("a", 100.5)
    # never more than at once, however long it waited
    assert [allowance.has("a", 1000.0) for _ in range(4)] == [True, True, True, False]


def test_a_look_costs_nothing() -> None:
    allowance = Allowance(per_s=0.0, at_once=1.0)
    assert all(allowance.has("a", 0.0, cost=0.0) for _ in range(5))
    assert allowance.has("a", 0.0)
    assert not allowance.has("a", 0.0, cost=0.0)


def test_the_address_that_asked_longest_ago_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "KEPT_ADDRESSES", 2)
    allowance = Allowance(per_s=0.0, at_once=1.0)
    for address in ("a", "b", "a", "c"):
        allowance.has(address, 0.0)
    assert list(allowance.left) == ["a", "c"]
    assert not allowance.has("a", 0.0)


def test_tokens_are_long_and_never_the_same() -> None:
    tokens = {new_token() for _ in range(100)}
    assert len(tokens) == 100
    assert min(map(len, tokens)) >= 32  # 24 bytes


def status(header: str, value: str) -> int:
    """What a request with one header is answered, where no token is asked for."""
    sent: list[MutableMapping[str, Any]] = []

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.request", "body": b""}

    async def inner(_scope: Any, _receive: Any, reply: Any) -> None:
        await reply({"type": "http.response.start", "status": 200, "headers": []})

    headers = {"host": "localhost"} | {header: value}
    scope = {
        "type": "http",
        "path": "/spaces",
        "client": ("127.0.0.1", 1),
        "headers": [(name.encode(), text.encode("latin-1")) for name, text in headers.items()],
    }
    asyncio.run(Guard(inner, None)(scope, receive, send))
    return sent[0]["status"]


@pytest.mark.parametrize("name", ["[::1", "::1]", "[", "[]", "[x]", "a@[", "", "evil.example"])
def test_an_address_that_is_none_is_a_foreign_one(name: str) -> None:
    assert status("host", name) == 403
    assert status("origin", f"http://{name}") == 403


@pytest.mark.parametrize("name", ["[::1]:8000", "127.0.0.1", "localhost:8000", "127.0.0.2:80"])
def test_this_machine_is_none(name: str) -> None:
    assert status("host", name) == 200
    assert status("origin", f"http://{name}") == 200
