"""Rivals: one face for all, fitted on the run's own windows; missing packages are one line."""

import importlib.util
from dataclasses import replace
from typing import NoReturn

import numpy as np
import pytest
import torch

from saafe.detector import AlarmSettings, detect
from saafe.errors import InputError
from saafe.exam.judging import judged_rival
from saafe.metrics import roc_auc
from saafe.recipes import changed, find_tier
from saafe.recordings.recording import Recording
from saafe.rivals import convolution, inception, linear, registry
from saafe.rivals.inception import InceptionTime
from saafe.rivals.linear import fit_linear, summaries
from saafe.rivals.registry import RIVALS, TrainingSet
from saafe.sensors import CHANNELS, CO, FIRE, LABELS, TEMPERATURE
from saafe.simulator import devices
from saafe.training import data, device_thresholds, distributed, thresholds
from saafe.training.data import WindowSet
from saafe.training.model import RiskModel, levels
from saafe.training.thresholds import logits_of

TINY = changed(
    find_tier("tiny"),
    ("windows=256", "batch=64", "epochs=2", "passes=1", "streams=64", "held_out=64", "device=cpu"),
)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module", autouse=True)
def small_parts():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(data, "PART_STREAMS", 32)
        patch.setattr(linear, "DECAYS", (1e-3,))
        yield


@pytest.fixture(scope="module")
def drawn(one_thread: None, small_parts: None) -> TrainingSet:
    return registry.draw_training_set(TINY)


@pytest.fixture
def few_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thresholds, "REFERENCE_STREAMS", 4)


def fire_auc(model: RiskModel, held_out: WindowSet) -> float:
    odds = model.risk_logit(logits_of(model, held_out.windows))
    return roc_auc(held_out.labels.numpy() == FIRE, odds.numpy())


def skip_without(name: str) -> None:
    if missing := [p for p in RIVALS[name].needs if importlib.util.find_spec(p) is None]:
        pytest.skip(f"{', '.join(missing)} not installed: pip install 'saafe[rivals]'")


def test_training_set_is_what_the_run_trains_on(drawn: TrainingSet) -> None:
    first = data.epoch_windows(TINY, 0, torch.device("cpu"), distributed.World())
    assert len(drawn.training.labels) == 2 * 256
    np.testing.assert_array_equal(drawn.training.windows[:256].numpy(), first.windows.numpy())


@pytest.mark.parametrize("name", ["linear discriminant", "logistic regression"])
def test_linear_rivals_give_graded_class_logits(name: str, drawn: TrainingSet) -> None:
    skip_without(name)
    model = RIVALS[name].fit(TINY, drawn.training, drawn.held_out)
    logits = logits_of(model, drawn.held_out.windows)
    assert logits.shape == (len(drawn.held_out.labels), len(LABELS))
    assert torch.isfinite(logits).all()
    assert fire_auc(model, drawn.held_out) > 0.75


@pytest.mark.slow
@pytest.mark.parametrize("name", ["gradient boosting", "QUANT", "MiniRocket", "MultiRocket-Hydra"])
def test_other_rivals_learn_too(name: str, drawn: TrainingSet, few_streams: None) -> None:
    skip_without(name)
    trained = registry.train_rival(name, drawn)
    assert torch.isfinite(logits_of(trained.model, drawn.held_out.windows)).all()
    assert fire_auc(trained.model, drawn.held_out) > 0.75
    assert trained.windows == len(drawn.training.labels)


@pytest.mark.parametrize(
    "name", ["linear discriminant", "logistic regression", "gradient boosting"]
)
def test_a_device_without_some_channels_suits_every_rival(name: str, drawn: TrainingSet) -> None:
    skip_without(name)
    few = drawn.training.rows(slice(128))
    few = replace(few, windows=few.windows.clone())
    few.windows[..., CO] = torch.nan
    model = RIVALS[name].fit(TINY, few, few)
    assert torch.isfinite(logits_of(model, few.windows)).all()


@pytest.mark.slow
def test_inception_learns_what_it_is_shown(drawn: TrainingSet) -> None:
    often = drawn.training.rows(torch.arange(6 * len(drawn.training.labels)) % 512)
    model = RIVALS["InceptionTime"].fit(TINY, often, drawn.held_out)
    assert torch.isfinite(logits_of(model, drawn.held_out.windows)).all()
    assert fire_auc(model, drawn.training) > 0.75  # 48 steps: too few for unseen scenarios


def test_inception_keeps_the_weights_that_were_best_on_held_out_scenarios(
    drawn: TrainingSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inception, "TRAIN_BATCH", 16)
    few = drawn.training.rows(slice(64))
    # what it learns is wrong there, so the last weights are not the best
    held_out = replace(few, labels=(few.labels + 1) % len(LABELS))
    seen: list[float] = []

    def watched(model: RiskModel, windows: torch.Tensor) -> torch.Tensor:
        logits = logits_of(model, windows)
        seen.append(torch.nn.functional.cross_entropy(logits, held_out.labels).item())
        return logits

    monkeypatch.setattr(inception, "logits_of", watched)
    model, again = (inception.fit_inception(TINY, few, held_out) for _ in range(2))
    looks = len(seen) // 2
    assert seen[:looks] == seen[looks:], "the seed decides all"
    assert all(map(torch.equal, model.state_dict().values(), again.state_dict().values()))
    watched(model, held_out.windows)
    assert seen[-1] == min(seen[:looks]) < seen[looks - 1]
    assert not model.training


class Spread:
    """A transform such as aeon's: mean and range of each feature, and a constant."""

    def __init__(self, factor: float = 1.0) -> None:
        self.factor, self.fitted = factor, 0

    def fit(self, inputs: np.ndarray) -> None:
        self.fitted += len(inputs)

    def transform(self, inputs: np.ndarray) -> np.ndarray:
        parts = [inputs.mean(axis=2), np.ptp(inputs, axis=2), np.ones((len(inputs), 1))]
        return self.factor * np.concatenate(parts, axis=1)


def test_transforms_are_standardised_whatever_their_scale(drawn: TrainingSet) -> None:
    inputs = convolution.cases(drawn.training.windows)
    one = convolution.Transforms([Spread()])
    given = one.fit(inputs).numpy()
    assert one.parts[0].fitted == len(inputs)
    varies = one.factor > 0
    assert not varies[-1], "a constant says nothing"
    assert (given[:, ~varies] == 0.0).all()
    assert np.abs(given).max() <= convolution.FARTHEST
    clipped = (np.abs(given) == convolution.FARTHEST).any(axis=0)
    inside = given[:, varies & ~clipped]
    np.testing.assert_allclose(inside.mean(axis=0), 0.0, atol=1e-3)
    np.testing.assert_allclose(inside.std(axis=0), 1.0, atol=1e-3)
    scaled = convolution.Transforms([Spread(7.0), Spread()]).fit(inputs).numpy()
    half = scaled.shape[1] // 2
    np.testing.assert_allclose(scaled[:, :half], scaled[:, half:], atol=1e-3)
    np.testing.assert_array_equal(one(inputs[:5]).numpy(), given[:5])


def test_a_linear_layer_on_transforms_learns(drawn: TrainingSet) -> None:
    model = convolution.fit_rocket([Spread()], drawn.training, drawn.held_out)
    assert fire_auc(model, drawn.held_out) > 0.75


def test_trained_rival_is_calibrated_and_has_thresholds(
    drawn: TrainingSet, few_streams: None
) -> None:
    trained = registry.train_rival(registry.LOGISTIC, drawn)
    assert trained.model.risk_scale != 1.0
    s = trained.settings
    assert s.leave < s.warn < s.steady <= s.slow <= s.fast


def test_a_rival_says_at_which_stage_its_training_is(few_streams: None) -> None:
    """`saafe evaluate` had only counted the time of the whole."""
    told: list[str] = []
    registry.train_alone(registry.LOGISTIC, TINY, on_stage=told.append)
    assert told == [
        *(f"simulating its windows, part {k} of 3" for k in (1, 2, 3)),
        "learning from 512 windows", "setting its thresholds",
    ]  # fmt: skip


def test_fixed_rule_sees_nothing_and_never_reaches_its_thresholds(
    drawn: TrainingSet, few_streams: None
) -> None:
    trained = registry.train_rival(registry.FIXED_RULE, drawn)
    odds = trained.model.risk_logit(logits_of(trained.model, drawn.held_out.windows))
    assert odds.unique().numel() == 1
    assert odds.max() < trained.settings.slow
    # all it knows is the mix that others are calibrated under
    assert torch.sigmoid(odds[0]).item() == pytest.approx(data.REFERENCE_MIX[FIRE], abs=1e-6)


@pytest.mark.parametrize("name", [registry.LOGISTIC, registry.FIXED_RULE])
@pytest.mark.parametrize("device", [None, "anything", "saafe-6", "netatmo-indoor"])
@pytest.mark.parametrize("trained_for", [None, "aranet4-home"])
def test_a_rival_waits_for_a_device_as_long_as_the_transformer_does(
    name: str,
    device: str | None,
    trained_for: str | None,
    drawn: TrainingSet,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Rivals held a reading for 90 s where a run for the device holds it for five minutes."""
    monkeypatch.setattr(device_thresholds, "set_thresholds", lambda *_, **__: AlarmSettings())
    recipe = data.for_device(TINY, trained_for)
    trained = registry.train_rival(name, replace(drawn, recipe=recipe), device=device)
    expected = data.longest_pause_of(data.for_device(recipe, device))
    assert trained.settings.longest_interval_s == expected
    known = devices.load_device(device) if device not in (None, "anything") else None
    assert known is None or expected == known.longest_interval_s


def test_fixed_rule_simulates_nothing_to_learn_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> NoReturn:
        raise AssertionError("simulated")

    for name in ("draw_training_set", "settings_for", "calibrate"):
        monkeypatch.setattr(registry, name, refuse)
    assert registry.train_alone(registry.FIXED_RULE, TINY).windows == 0


def test_alarms_of_the_fixed_rule_clear() -> None:
    """Its risk had stood above where an alarm is left, so one alarm counted until the end."""
    rule = judged_rival(registry.train_alone(registry.FIXED_RULE, TINY))
    readings = np.full((360, 1, len(CHANNELS)), np.nan, np.float32)
    readings[:, 0, TEMPERATURE] = 20.0
    readings[60:66, 0, TEMPERATURE] = 70.0
    events = detect(rule, Recording("r", 10.0 * np.arange(360), ("A",), readings)).events
    assert [event["event"] for event in events] == ["alarm", "clear"]


def test_unknown_rival_is_refused(drawn: TrainingSet) -> None:
    with pytest.raises(InputError, match="unknown; choose from fixed rule"):
        registry.train_rival("crystal ball", drawn)


def test_missing_package_is_one_line(drawn: TrainingSet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install 'saafe\[rivals\]'$") as caught:
        registry.train_rival("QUANT", drawn)
    assert "\n" not in str(caught.value)


def test_linear_fit_finds_the_bayes_rule() -> None:
    random = torch.Generator().manual_seed(0)
    labels = torch.arange(3).repeat(2000)
    centres = torch.tensor([[0.0, 0.0], [2.0, 0.0], [0.0, 2.0]])
    inputs = centres[labels] + torch.randn(6000, 2, generator=random)
    linear = fit_linear(inputs[:3000], labels[:3000], inputs[3000:], labels[3000:])
    # unit normals: log-odds between two classes are (c1 - c0) x + const
    slopes = linear.weight.detach() - linear.weight.detach()[0]
    np.testing.assert_allclose(slopes[1:].numpy(), 2.0 * np.eye(2), atol=0.25)


def test_summaries_hold_what_they_say() -> None:
    windows = torch.full((1, 60, 1, len(CHANNELS)), torch.nan)
    windows[0, :, 0, 0] = 22.0  # temperature stands still
    windows[0, 40:, 0, 0] = torch.arange(20) + 22.0  # and rises in the last scale
    summary = summaries(windows)[0]
    assert summary.shape == (114,)
    last = summary[72:108].view(6, 6)  # (figure, channel) of the last scale
    level = levels(windows[:, :, 0])[0, 40:, 0]
    expected = [level.mean(), level.std(unbiased=False), level.min(), level.max(),
                level[10:].mean() - level[:10].mean(), 1.0]  # fmt: skip
    np.testing.assert_allclose(last[:, 0].numpy(), np.array(expected), rtol=1e-5)
    assert torch.isnan(last[:5, 1]).all()  # no particles
    assert last[5, 1] == 0.0  # known share
    assert summary[108] == pytest.approx(float(level[-1]), rel=1e-5)  # over the quartile, 0


def test_inception_is_the_papers_shape_at_our_width() -> None:
    model = InceptionTime().eval()
    logits = model(torch.full((2, 60, 1, len(CHANNELS)), torch.nan))
    assert logits.shape == (2, 1, 3)
    assert torch.isfinite(logits).all()
    assert len(model.blocks) == 6
    assert len(model.shortcuts) == 2
