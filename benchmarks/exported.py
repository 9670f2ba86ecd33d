"""What an exported file changes on the full exam's fires, beside the run that it was made of.

    python benchmarks/exported.py RUN RUN/export/saafe-int8.onnx [--device saafe-6 --device saafe-4]

Each fire that `saafe exam RUN` judges goes through both, with their thresholds for the device.

- `DEVICE_differ`: fires with another outcome (in time, late, early, missed), of `DEVICE_fires`.
- `DEVICE_in_time_run`, `DEVICE_in_time_file`: how many each finds in time.
- `DEVICE_most_points`: by how much the share of any outcome changes at most, in percentage points;
  `DEVICE_most_points_of_a_kind` the same in one kind of fire, of which one is 2.2 points.
"""

import argparse
from collections import Counter
from pathlib import Path

import torch
from last_line import print_last_line

import saafe
from saafe.exam.amounts import FULL
from saafe.exam.examinee import Examinee, judged_on
from saafe.exam.fires import draw_fires, fire_kinds, try_fire
from saafe.exam.outcomes import OUTCOMES
from saafe.exam.quick import exam_device
from saafe.exam.session import Session

ROOT = Path(__file__).parents[1]
SEED = 0  # of the full exam


def outcomes_of(
    models: tuple[Examinee, Examinee], device: str | None, fires: int
) -> tuple[str, dict[str, list[tuple[str, str]]]]:
    """The device, and by kind each fire's outcome with one model and with the other."""
    on_device = exam_device(models[0], device)
    sides = [judged_on(model, on_device.sensors, say=print) for model in models]
    session = Session(sides[0], SEED, device=on_device.sensors)
    found: dict[str, list[tuple[str, str]]] = {}
    for k, (kind, mix) in enumerate(fire_kinds()[:-1]):
        trials = draw_fires(session, kind, fires, part=100 * k, mix=mix, batch=FULL.batch).trials
        said: list[list[str]] = []
        for session.one in sides:
            tried = session.each(lambda trial: try_fire(session, trial)[0], trials)
            said.append([result.outcome for result in tried])
        found[kind] = list(zip(*said, strict=True))
        differ = sum(one != other for one, other in found[kind])
        print(f"{on_device.name}, {kind}: {len(trials)} fires, {differ} differ", flush=True)
    return on_device.name, found


def most_points(pairs: list[tuple[str, str]]) -> float:
    """By how much the share of any outcome changes at most. [percentage points]"""
    one, other = (Counter(side) for side in zip(*pairs, strict=True))
    return 100.0 * max(abs(one[name] - other[name]) for name in OUTCOMES) / len(pairs)


def figures_of(name: str, found: dict[str, list[tuple[str, str]]]) -> dict[str, float]:
    """The figures of a device, from its fires' pairs of outcomes by kind."""
    pairs = [pair for kind in found.values() for pair in kind]
    in_time = [sum(pair[k] == OUTCOMES[0] for pair in pairs) for k in (0, 1)]
    figures = {
        "fires": len(pairs), "differ": sum(one != other for one, other in pairs),
        "in_time_run": in_time[0], "in_time_file": in_time[1],
        "most_points": round(most_points(pairs), 3),
        "most_points_of_a_kind": round(max(map(most_points, found.values())), 3),
    }  # fmt: skip
    return {f"{name}_{key}": value for key, value in figures.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("run", help="a run folder")
    parser.add_argument("file", help="what `saafe export` made of it")
    parser.add_argument("--device", action="append", help="the run's own by default")
    parser.add_argument("--fires", type=int, default=FULL.fires, help="of each kind")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    models = (saafe.load(chosen.run), saafe.load(chosen.file))
    figures: dict[str, float] = {}
    for device in chosen.device or [None]:
        figures |= figures_of(*outcomes_of(models, device, chosen.fires))
    for name, value in figures.items():
        print(f"{name:40} {value:,}")
    print_last_line("exported", figures, 1, "onnxruntime", "numpy", "torch")


if __name__ == "__main__":
    main()
