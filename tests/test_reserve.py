"""Events that a full disk refuses outlive a kill, each once, with a real broker too."""

import os
import signal
import sqlite3
import time
from pathlib import Path

import pytest
from serving_fixtures import Client, Mosquitto, eventually, looks_often, needs_mosquitto  # noqa: F401
from test_mqtt import Watching

from saafe.serving import reserve
from saafe.serving.fleet import Arrival
from saafe.serving.reserve import Reserve
from saafe.serving.store import Store


def event(space: str, kind: str = "alarm") -> dict:
    return {"event": kind, "space": space, "sensor": "A", "time_s": 1.0, "risk": 9.0}


def spaces(left: list[tuple[dict, bool]]) -> list[tuple[str, bool]]:
    return [(one["space"], is_told) for one, is_told in left]


def test_what_is_put_in_is_there_after_a_kill(tmp_path: Path) -> None:
    first, some = Reserve(tmp_path / "r"), [event("kitchen"), event("K\u00fcche \n"), event("den")]
    first.add(some)
    first.add(some[1:])  # are in it
    first.told(some[1])
    first.told(event("den"))  # another one
    assert (tmp_path / "r").stat().st_size == reserve.RESERVED
    second = Reserve(tmp_path / "r")
    assert [one for one, _ in second.left()] == some
    assert spaces(second.left())[1:] == [("K\u00fcche \n", True), ("den", False)]
    second.clear()
    second.add([event("bath")])
    assert spaces(Reserve(tmp_path / "r").left()) == [("bath", False)]
    assert os.stat(tmp_path / "r").st_blocks * 512 >= reserve.RESERVED, "its room is taken"
    for one in (first, second):
        one.close()


def test_what_has_no_room_is_counted_and_damage_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reserve, "RESERVED", 500)
    one = Reserve(tmp_path / "r")
    one.add([event(f"s{k}") for k in range(10)])
    assert 0 < one.lost == 10 - len(one.left())
    data = bytearray((tmp_path / "r").read_bytes())
    data[5] ^= 0xFF
    (tmp_path / "r").write_bytes(bytes(data))
    assert [name for name, _ in spaces(one.left())] == [f"s{k}" for k in range(1, 10 - one.lost)]
    one.close()
    for path in (None, tmp_path / "absent" / "r"):
        without = Reserve(path)
        without.add([event("den")])
        assert (without.lost, without.left()) == (1, [])
        without.clear()


@pytest.mark.parametrize("delivers", [False, True])
def test_a_store_goes_on_with_what_its_disk_refused(delivers: bool, tmp_path: Path) -> None:
    """A kill between the two files makes nothing double; numbers go on."""
    path = tmp_path / "s.sqlite"
    first, some = Store(path, delivers=delivers), [event("den"), event("hall"), event("bath")]
    first.base.execute("PRAGMA query_only = 1")  # as a full disk
    for one in some:
        with pytest.raises(sqlite3.OperationalError):
            first.commit([], [one])
    first.reserve.told(some[1])
    kept = (tmp_path / "s.sqlite-reserve").read_bytes()
    first.base.close()  # as a kill
    for _ in range(2):
        second = Store(path, delivers=delivers)
        assert [(one["id"], one["space"]) for one in second.events()] == [
            (1, "den"), (2, "hall"), (3, "bath"),
        ]  # fmt: skip
        assert [one["space"] for one in second.standing()] == ["bath", "den", "hall"]
        assert [one["space"] for one in second.undelivered()] == ["den", "bath"] * delivers
        assert second.reserve.left() == second.left == []
        second.close()
        (tmp_path / "s.sqlite-reserve").write_bytes(kept)


@needs_mosquitto
@pytest.mark.parametrize("is_away", [True, False])
def test_a_full_disk_a_broker_that_is_away_and_a_kill_lose_no_alarm(
    is_away: bool, tmp_path: Path
) -> None:
    """Six of six were lost: the queue was in memory. What the broker has is not told again."""
    broker = Mosquitto(tmp_path / "broker")
    client = Client(broker.port, "other", ("saafe/#",))
    first = Watching(broker.port, tmp_path / "s.sqlite")
    if is_away:
        broker.kill(signal.SIGTERM)
        eventually(lambda: not first.link.is_up.is_set())
    service = first.service
    service.store.base.execute("PRAGMA query_only = 1")  # as a full disk
    names = [f"hall {k}" for k in range(6)]
    for name in names:
        for t, temperature in ((0, "21"), (10, "70"), (20, "71")):
            cells = {"temperature_c": temperature, "time_s": str(float(t))}
            one = Arrival(name, "A", cells, service.clock_s())
            assert service.offer(one, lambda _: None, wait_s=5.0)
    eventually(lambda: len(service.store.reserve.events) == 6)
    assert "cannot be written" in service.trouble
    if not is_away:
        eventually(lambda: all(told for _, told in service.store.reserve.left()))
    first.link.stop()
    service.is_stopping.set()
    service.thread.join()
    service.store.base.close()  # as a kill
    if is_away:
        broker.start()
    second = Watching(broker.port, tmp_path / "s.sqlite")
    eventually(lambda: len(client.events()) >= 6)
    time.sleep(1.0)
    assert sorted(one["space"] for one in client.events()) == names, "each once"
    stands = {one["space"] for one in second.service.store.standing()}
    assert stands == set(second.service.fleet.spaces) == set(names)
    assert second.service.store.undelivered() == []
    second.close()
    client.close()
    broker.kill()
