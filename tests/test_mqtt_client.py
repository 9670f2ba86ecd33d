"""A socket read and written in large pieces gives every byte once, in order."""

import random
import socket

import pytest

from saafe.serving.mqtt_client import BufferedSocket


@pytest.fixture
def ends():
    """Two ends of a connection; ours does not wait."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with ours, theirs:
        yield BufferedSocket(ours), theirs


def test_bytes_come_in_order_however_they_are_asked_for(ends) -> None:
    ours, theirs = ends
    dice, sent, came = random.Random(0), random.Random(1).randbytes(200_000), bytearray()
    at = 0
    while len(came) < len(sent):
        at += theirs.send(sent[at : at + dice.randrange(1, 5000)]) if at < len(sent) else 0
        for _ in range(dice.randrange(1, 40)):
            try:
                came += ours.recv(dice.randrange(1, 300))
            except BlockingIOError:
                assert ours.pending() == 0
                break
    assert bytes(came) == sent


def test_what_has_come_is_pending_and_costs_no_call(ends) -> None:
    ours, theirs = ends
    theirs.send(b"abcdef")
    assert ours.recv(1) == b"a"
    assert ours.pending() == 5
    theirs.close()
    assert ours.recv(10) == b"bcdef"  # before the end that has come meanwhile
    assert ours.recv(10) == b""


def test_nothing_is_lost_where_the_other_end_is_slow(ends) -> None:
    ours, theirs = ends
    sent, came = random.Random(2).randbytes(3_000_000), bytearray()
    for at in range(0, len(sent), 1000):
        assert ours.send(sent[at : at + 1000]) == min(1000, len(sent) - at)
    ours.flush()
    assert ours.unsent  # the system did not take all
    while len(came) < len(sent):
        came += theirs.recv(100_000)
        ours.flush()
    assert bytes(came) == sent
    assert not ours.unsent


def test_what_waits_goes_out_before_the_end(ends) -> None:
    ours, theirs = ends
    ours.send(b"goodbye")
    ours.close()
    assert theirs.recv(100) == b"goodbye"
    assert theirs.recv(100) == b""


def test_a_connection_that_is_gone_is_said_by_reading(ends) -> None:
    ours, theirs = ends
    theirs.close()
    ours.send(b"x" * 10)
    ours.flush()
    assert ours.recv(10) == b""
