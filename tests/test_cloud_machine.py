"""`launch --set`: fields of the recipe and of the job are told apart and checked."""

from pathlib import Path

import pytest

from saafe.cloud.machine import Machine, split_settings
from saafe.errors import InputError, on_command_line
from saafe.recipes import Recipe, field_types


def test_settings_are_split() -> None:
    settings = ("epochs=2", "instance=ml.g5.xlarge, ml.g6.xlarge", "spot=1", "seed=3")
    recipe, machine = split_settings((*settings, "instances=3", "out=a=b", "name=x", "region=r"))
    assert recipe == ("epochs=2", "seed=3")
    types = ("ml.g5.xlarge", "ml.g6.xlarge")
    assert machine == Machine(types, 3, spot=True, region="r", name="x", out=Path("a=b"))
    assert machine.rented_only() == ["instance", "instances", "spot", "region"]


def test_the_last_setting_counts_and_without_any_nothing_is_set() -> None:
    assert split_settings(("spot=true", "spot=false")) == ((), Machine())
    assert split_settings(()) == ((), Machine())
    assert Machine(name="x", out=Path("y")).rented_only() == []


def test_no_field_is_of_both() -> None:
    assert not set(field_types(Machine)) & set(field_types(Recipe))


@pytest.mark.parametrize(
    ("setting", "line"),
    [
        ("spot", "--set spot: expected field=value; did you mean spot?"),
        ("", "expected field=value; fields: instance, instances, spot, region, name, out, width"),
        ("instense=x", "did you mean instance?"),
        ("widht=64", "did you mean width?"),
        ("tier=standard", "--set tier=standard: expected field=value"),
        ("zzz=1", "out, width, layers"),
        ("instances=two", "expected a whole number, got 'two'"),
        ("instances=1.5", "expected a whole number"),
        ("spot=maybe", "expected true or false, got 'maybe'"),
        ("instance=", "--set instance=: expected a value, got ''"),
        ("instance=ml.g5.xlarge,", "expected a value"),
        ("name=", "expected a value"),
        ("out= ", "expected a value"),
    ],
)
def test_bad_settings_are_one_line(setting: str, line: str) -> None:
    with pytest.raises(InputError) as error, on_command_line():
        split_settings((setting,))
    assert line in str(error.value)
    assert "\n" not in str(error.value)
