"""What is made ahead is what would have been made anyway, by whoever has time."""

import threading

import pytest
import torch

from saafe.threads import Workers, spare_threads


@pytest.mark.parametrize("threads", [0, 1, 3])
def test_everything_is_made_once(threads: int) -> None:
    made = []

    def make(number: int) -> int:
        made.append(number)
        return 10 * number

    with Workers(threads) as workers:
        assert bool(workers) is (threads > 0)
        later = [workers.later(make, k) for k in range(20)]
        assert [take() for take in later] == [10 * k for k in range(20)]
    assert sorted(made) == list(range(20))


def test_the_caller_makes_what_no_thread_has_begun() -> None:
    gate = threading.Event()

    def wait() -> int:
        assert gate.wait(10.0)
        return threading.get_ident()

    with Workers(1) as workers:
        first, second = workers.later(wait), workers.later(threading.get_ident)
        while workers.pool is None or workers.pool._work_queue.qsize() > 1:
            pass  # until the thread has begun with the first
        assert second() == threading.get_ident()
        gate.set()
        assert first() != threading.get_ident()


def test_errors_reach_the_caller() -> None:
    def fail() -> None:
        raise ValueError("no")

    with Workers(1) as workers:
        wanted = workers.later(fail)
        with pytest.raises(ValueError, match="no"):
            wanted()


def test_cores_are_given_back() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    try:
        assert spare_threads(torch.device("cpu")) == 2
        assert spare_threads(torch.device("cuda")) == 0
        with Workers(2) as workers:
            assert torch.get_num_threads() == 2
            assert workers.later(torch.get_num_threads)() in (1, 2)
        assert torch.get_num_threads() == 4
    finally:
        torch.set_num_threads(before)
