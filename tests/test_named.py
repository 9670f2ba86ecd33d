"""Errors name what whoever reads them can change: an option, or an argument of Python."""

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import saafe
from saafe.cloud.aws import no_credentials
from saafe.cloud.request import setting
from saafe.errors import InputError, as_given, on_command_line
from saafe.own_rooms import check_asked
from saafe.pictures import check_picture_path
from saafe.readers import import_recording, parse_columns
from saafe.recordings import parse_units

PACKAGE = Path(saafe.__file__).parent
# packages that Python's public functions raise from; serving has the command line alone
ROOMS = (
    "recordings", "readers", "detector", "simulator", "training", "exam", "own_rooms", "export",
    "pictures", "cloud",
)  # fmt: skip
OPTION = re.compile(r"(?<![\w-])--[a-z]")
COMMAND = re.compile(r"saafe [a-z]+[^`]*--")  # one that is told whole is one for everybody
# functions that only the command line calls
ONLY_COMMANDS = {
    "with_seed", "for_device", "check_without", "check_plot_path", "fire_mix", "prepare_background",
}  # fmt: skip
EXPORT = "time,temperature,odd\n2026-01-01 10:00,20,1\n2026-01-01 10:01,21,2\n"


def texts_of(node: ast.AST) -> Iterator[str]:
    """The texts in a node, those apart that are chosen by who reads them."""
    if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "as_given":
        return
    if isinstance(node, ast.JoinedStr):
        yield "".join(v.value if isinstance(v, ast.Constant) else "X" for v in node.values)
        parts = [v for v in node.values if not isinstance(v, ast.Constant)]
    else:
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
        parts = list(ast.iter_child_nodes(node))
    for part in parts:
        yield from texts_of(part)


def is_said(node: ast.AST) -> bool:
    """Whether a node raises something, or makes a part of what is raised."""
    names = [getattr(one, "id", "") for one in getattr(node, "targets", ())]
    return isinstance(node, ast.Raise) or any(n in ("mend", "came", "hint", "said") for n in names)


def test_no_error_that_python_can_cause_names_an_option() -> None:
    """`import_recording(path, zone="Berlin")` said "--zone Berlin: no such time zone"."""
    files = [*PACKAGE.glob("*.py"), *(p for room in ROOMS for p in (PACKAGE / room).glob("*.py"))]
    found = [
        f"{path.relative_to(PACKAGE)}: {function.name}: {text}"
        for path in files
        for function in ast.walk(ast.parse(path.read_text()))
        if isinstance(function, ast.FunctionDef) and function.name not in ONLY_COMMANDS
        for node in ast.walk(function)
        if is_said(node)
        for text in texts_of(node)
        if OPTION.search(text) and not COMMAND.search(text)
    ]
    assert found == []


def refused(call: Callable[[], object]) -> str:
    with pytest.raises(InputError) as error:
        call()
    return str(error.value)


CASES: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "zone": (
        lambda path: import_recording(path, zone="Berlin"),
        "zone Berlin: no such", "--zone Berlin: no such",
    ),
    "preset": (
        lambda path: import_recording(path, preset="none"),
        "preset none: no such", "--preset none: no such",
    ),
    "columns": (
        lambda path: import_recording(path, columns={"absent": "co2"}),
        "'absent' (columns)", "'absent' (--map)",
    ),
    "a channel": (
        lambda path: import_recording(path, columns={"temperature": "ignore"}),
        "columns={'temperature': 'temperature'}", "--map temperature=temperature",
    ),
    "texts of columns": (lambda _: parse_columns(["x"]), "columns x: no", "--map x: no"),
    "texts of units": (lambda _: parse_units(["x=F"]), "units x=F: no", "--unit x=F: no"),
    "a setting": (
        lambda _: saafe.train("tiny", settings={"epoch": 1}),
        "settings: no field 'epoch'; did you mean epochs?",
        "--set epoch=1: expected field=value; did you mean epochs?",
    ),
    "a setting's value": (
        lambda _: saafe.train("tiny", settings={"epochs": "few"}),
        "settings: epochs: expected a whole number", "--set epochs=few: expected a whole number",
    ),
    "a name": (lambda _: saafe.train("tiny", name="a/b"), "name a/b: allowed", "--name a/b: allow"),
    "nothing to resume": (
        lambda path: saafe.train("tiny", out=path.parent, resume=True),
        "leave resume out", "leave --resume out",
    ),
    "a budget": (
        lambda _: check_asked(-1.0), "false_alarms_per_year -1:", "--false-alarms-per-year -1:"
    ),
    "a picture": (lambda _: check_picture_path("x.txt"), "path x.txt:", "--out x.txt:"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_an_error_names_the_argument_or_the_option(case: str, tmp_path: Path) -> None:
    path = tmp_path / "export.csv"
    path.write_text(EXPORT)
    call, argument, option = CASES[case]
    said = refused(lambda: call(path))
    assert argument in said
    assert not OPTION.search(said)
    with on_command_line():
        assert option in refused(lambda: call(path))
    assert refused(lambda: call(path)) == said, "it ends with the command"


def test_settings_and_credentials_are_named_alike() -> None:
    assert setting("instance", "TYPE") == 'settings={"instance": "TYPE"}'
    assert 'on="emulator"' in no_credentials()
    with on_command_line():
        assert setting("instance", "TYPE") == "--set instance=TYPE"
        assert "(--on here)" in no_credentials()
        assert as_given("--a", "a") == "--a"
