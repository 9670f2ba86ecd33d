"""Exams share their work among threads: nothing that they find depends on how many."""

import time

import numpy as np
import pytest
import torch

from saafe.detector import AlarmSettings
from saafe.exam.fires import draw_fires, fire_kinds, try_fire
from saafe.exam.judging import Judged
from saafe.exam.session import Case, Detection, Session
from saafe.sensors import TEMPERATURE


def hot(windows: np.ndarray) -> np.ndarray:
    """Risk by the newest temperature, which is enough to alarm at some fires."""
    return np.clip(np.nan_to_num(windows[:, -1, 0, TEMPERATURE]), 1.0, 99.0)


def session() -> Session:
    return Session(Judged("hot", hot, AlarmSettings()), 0, device="saafe-6")


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def test_results_come_in_order_and_alike_on_any_number_of_threads(threads) -> None:
    one = session()
    drawn = draw_fires(one, "curtain", 8, part=0, mix=dict(fire_kinds())["curtain"], batch=16)
    outcomes, windows = [], []
    for number in (1, 2, 3):
        threads(number)
        one.windows = 0
        tried = one.each(lambda trial: try_fire(one, trial, floor=True)[0], drawn.trials)
        outcomes.append([(result.alarm_s, result.floor_s, result.margin) for result in tried])
        windows.append(one.windows)
        assert torch.get_num_threads() == number
    assert outcomes[0] == outcomes[1] == outcomes[2]
    assert windows == windows[:1] * 3
    assert any(alarm_s is not None for alarm_s, _, _ in outcomes[0])


def test_a_failure_is_told_where_the_result_is_wanted(threads) -> None:
    threads(2)

    def work(number: int) -> int:
        time.sleep(0.01 * (number % 3))
        if number == 5:
            raise ValueError("five")
        return number

    results = session().each(work, range(9))
    assert [next(results) for _ in range(5)] == [0, 1, 2, 3, 4]
    with pytest.raises(ValueError, match="five"):
        next(results)
    assert torch.get_num_threads() == 2


def test_which_cases_are_kept_does_not_depend_on_their_order() -> None:
    empty = Detection([], *np.empty((3, 0)))
    cases = [Case("miss", f"fire {k}", None, empty) for k in range(30)]  # type: ignore[arg-type]
    kept = []
    for order in (range(30), reversed(range(30))):
        one = session()
        for k in order:
            one.keep(cases[k], float(k // 7))
        kept.append([case.title for case in one.cases()])
    assert kept[0] == kept[1]
    assert len(kept[0]) == 10
