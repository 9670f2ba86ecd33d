"""Tiers and their changes; what is wrong is said in one line."""

import dataclasses
import json
from typing import Any

import pytest

from saafe.errors import InputError, on_command_line
from saafe.recipes import (
    TIERS,
    Recipe,
    changed,
    check_recipe,
    find_tier,
    from_dict,
    from_text,
    to_dict,
    with_seed,
)

FAST = find_tier("ultra-fast")


@pytest.mark.parametrize("name", TIERS)
def test_tiers_are_valid_and_survive_json(name: str) -> None:
    recipe = find_tier(name)
    assert recipe.tier == name
    assert check_recipe(recipe) is recipe
    assert from_dict(json.loads(json.dumps(to_dict(recipe)))) == recipe


def test_tiers_of_the_document() -> None:
    assert {"ultra-fast", "standard", "local"} <= set(TIERS)
    assert (FAST.width, FAST.layers, FAST.windows) == (128, 4, 12_000)  # the document: 6,000
    standard = find_tier("standard")
    assert (standard.width, standard.layers, standard.windows) == (256, 6, 20_000)
    local = find_tier("local")  # standard's model on what is at hand, for an hour
    assert (standard.hours, local.hours) == (0.0, 1.0)
    assert dataclasses.replace(standard, tier="local", hours=1.0) == local
    assert all((r.beta1, r.beta2) == (0.9, 0.95) for r in TIERS.values())


def test_a_recipe_is_frozen_plain_values() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        FAST.width = 3  # type: ignore[misc]
    assert {type(value) for value in to_dict(FAST).values()} <= {str, int, float, bool}


@pytest.mark.parametrize(
    ("change", "field", "value"),
    [
        ("width=64", "width", 64),
        ("learning_rate=1e-4", "learning_rate", 1e-4),
        ("dropout=0", "dropout", 0.0),
        ("fresh=false", "fresh", False),
        ("fresh=1", "fresh", True),
        ("device=cpu", "device", "cpu"),
    ],
)
def test_set(change: str, field: str, value: object) -> None:
    recipe = changed(FAST, (change,))
    assert getattr(recipe, field) == value
    assert type(getattr(recipe, field)) is type(getattr(FAST, field))
    assert dataclasses.replace(recipe, **{field: getattr(FAST, field)}) == FAST


def test_the_last_change_counts() -> None:
    assert changed(FAST, ("seed=1", "seed=2")).seed == 2
    assert changed(FAST, ()) == FAST


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (("width",), "expected field=value"),
        (("",), "expected field=value"),
        (("=3",), "expected field=value"),
        (("widht=64",), "did you mean width?"),
        (("tier=standard",), "expected field=value"),
        (("zzz=1",), "fields: "),
        (("width=wide",), "expected a whole number, got 'wide'"),
        (("width=64.5",), "expected a whole number, got '64.5'"),
        (("width=",), "expected a whole number, got ''"),
        (("learning_rate=fast",), "expected a number"),
        (("fresh=maybe",), "expected true or false, got 'maybe'"),
        (("width=0",), "width = 0: allowed is 8 to 4096"),
        (("epochs=0",), "epochs = 0: allowed is 1"),
        (("learning_rate=nan",), "learning_rate = nan: allowed"),
        (("learning_rate=inf",), "learning_rate = inf: allowed"),
        (("learning_rate=-1",), "allowed is 1e-07"),
        (("dropout=1",), "allowed is 0.0 to 0.9"),
        (("hours=-1",), "hours = -1.0: allowed is 0.0 to"),
        (("seed=-1",), "seed = -1: allowed"),
        (("device=tpu",), "choose from auto, cpu, cuda, mps"),
        (("precision=int8",), "choose from auto, fp32, bf16, fp16"),
        (("width=100", "heads=8"), "must be a multiple of heads = 8"),
        (("patch=7",), "must divide the window's 60 steps"),
        (("batch=100", "accumulate=3"), "must be a multiple of accumulate = 3"),
        (("windows=64", "batch=128"), "must be at least batch = 128"),
    ],
)
def test_bad_changes(changes: tuple[str, ...], said: str) -> None:
    with pytest.raises(InputError) as error, on_command_line():
        changed(FAST, changes)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_every_number_has_limits() -> None:
    for field in dataclasses.fields(Recipe):
        if field.type in ("int", "float", int, float):
            with pytest.raises(InputError, match=field.name):
                check_recipe(dataclasses.replace(FAST, **{field.name: -1e18}))
            with pytest.raises(InputError, match=field.name):
                check_recipe(dataclasses.replace(FAST, **{field.name: 1e18}))


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"tier": "ultra-fast", "depth": 3}, "unknown fields: depth"),
        ({}, "cannot be read"),
        ({"tier": "ultra-fast", "width": 4}, "width = 4"),
        ({"tier": "ultra-fast", "width": "128"}, "cannot be read"),
        ({"tier": "ultra-fast", "width": None}, "cannot be read"),
        *((values, "no table") for values in ([], ["x"], 5, True, None, "x")),
    ],
)
def test_recipes_that_cannot_be_read(values: Any, said: str) -> None:
    with pytest.raises(InputError, match=said):
        from_dict(values)
    with pytest.raises(InputError, match=said):
        from_text(json.dumps(values))


DEEP = [pytest.param(text * 10**5, id=f"deep {text[0]}") for text in ("[", '{"tier":')]


@pytest.mark.parametrize("text", ["", "{", "\0", *DEEP])
def test_a_text_that_is_no_recipe_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="no JSON"):
        from_text(text)


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(Recipe)])
def test_no_field_takes_a_value_of_another_kind(field: str) -> None:
    """A seed of 1.5 failed as the exam began, a width of 64.0 as the model was made."""
    kind = type(getattr(FAST, field))
    for value in (True, 1, 1.5, "x", None, [1], {}):
        if type(value) is kind or (kind is float and type(value) is int):
            continue
        with pytest.raises(InputError, match=f"{field} = .* is no {kind.__name__}"):
            from_dict({**to_dict(FAST), field: value})
    whole = {**to_dict(FAST), "hours": 1}  # as a person writes it
    assert from_dict(whole).hours == 1.0


@pytest.mark.parametrize(
    ("name", "said"), [("ultrafast", "did you mean ultra-fast?"), ("", "choose from"), ("x", "'x'")]
)
def test_unknown_tiers(name: str, said: str) -> None:
    with pytest.raises(InputError, match="unknown") as error:
        find_tier(name)
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("changes", "seed", "expected"),
    [
        ((), None, 0),
        (("seed=3",), None, 3),
        ((), 3, 3),
        (("seed=3",), 0, "--seed 0 and --set seed=3 disagree; give one of them"),
        (("seed=3", "epochs=2"), 3, 3),
    ],
)
def test_seed_and_set_agree(changes: tuple[str, ...], seed: int | None, expected: object) -> None:
    tier = find_tier("ultra-fast")
    if isinstance(expected, str):
        with pytest.raises(InputError, match=expected):
            with_seed(changes, seed)
    else:
        assert changed(tier, with_seed(changes, seed)).seed == expected
