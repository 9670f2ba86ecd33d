"""What is made ahead is what would have been made anyway, by whoever has time."""

import threading
from functools import partial

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


@pytest.mark.parametrize("threads", [0, 1, 3])
@pytest.mark.parametrize("count", [0, 1, 2, 7])
def test_work_done_together_comes_in_order_and_once(threads: int, count: int) -> None:
    made: list[int] = []

    def make(number: int) -> int:
        made.append(number)
        return 10 * number

    with Workers(threads) as workers:
        assert workers.together([partial(make, k) for k in range(count)]) == [
            10 * k for k in range(count)
        ]
    assert sorted(made) == list(range(count))


def test_together_two_threads_meet() -> None:
    both = threading.Barrier(2, timeout=10.0)
    with Workers(1) as workers:  # waits for ever were one of them to do both
        assert sorted(workers.together([both.wait, both.wait])) == [0, 1]


@pytest.mark.parametrize("failing", range(3))
def test_errors_of_work_done_together_reach_the_caller(failing: int) -> None:
    def make(number: int) -> None:
        if number == failing:
            raise ValueError("no")

    with Workers(1) as workers, pytest.raises(ValueError, match="no"):
        workers.together([partial(make, k) for k in range(3)])


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
