"""How much an address may ask, and that nobody fills the memory with addresses."""

import pytest

from saafe.serving import guard
from saafe.serving.guard import Allowance, new_token


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
