"""The house: rooms import from left to right, modules from where a name is made, and stay small."""

import ast
import graphlib
import importlib
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import saafe

ROOT = Path(saafe.__file__).parent
# a room may use itself and the rooms before it; one line is one place: its rooms do not mix
ORDER = [
    {
        "errors",
        "formats",
        "files",
        "sensors",
        "windows",
        "metrics",
        "recipes",
        "threads",
    },
    {"recordings"},
    {"readers", "audit"},
    {"simulator", "detector"},
    {"training"},
    {"rivals"},
    {"exam"},
    {"training_run", "loading", "export", "pictures"},
    {"own_rooms"},
    {"tiers", "cloud", "serving"},
    {"cloud.emulator"},
    {"machines"},
    {"launching"},
    {"cli"},
    {"__main__"},
]
PLACE = {room: place for place, rooms in enumerate(ORDER) for room in rooms}
FOUNDATION = 0  # its modules may use one another
FILES = {
    ".".join(path.relative_to(ROOT.parent).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(ROOT.rglob("*.py"))
}


PACKAGES = [module for module, path in FILES.items() if path.name == "__init__.py"]
DOORS = [package for package in PACKAGES if package not in ("saafe", "saafe.cli")]


def room(module: str) -> str:
    """The room of a module: "cloud.emulator", "exam" or "errors"; "" for the package itself."""
    name = module.partition(".")[2]
    return "cloud.emulator" if name.startswith("cloud.emulator") else name.split(".")[0]


@cache
def tree(module: str) -> ast.Module:
    return ast.parse(FILES[module].read_text())


@cache
def imports(module: str) -> list[tuple[str, str]]:
    """(module, name) of all that a module imports from saafe, also in functions and by strings."""
    found = []
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Import):
            found += [(alias.name, "") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: relative import"
            found += [(node.module or "", alias.name) for alias in node.names]
        # by a string; a package's name may be that of its data
        elif isinstance(node, ast.Constant) and node.value in FILES.keys() - PACKAGES:
            found.append((node.value, ""))
    whole = [(f"{m}.{name}", "") if f"{m}.{name}" in FILES else (m, name) for m, name in found]
    return [(m, name) for m, name in whole if m.split(".")[0] == "saafe"]


@cache
def defined(module: str) -> set[str]:
    """Names that a module makes itself."""
    made = set()
    for node in ast.walk(tree(module)):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            made.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            made.add(node.id)
    return made


def python(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, cwd=ROOT.parent
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("module", [m for m in FILES if m != "saafe"])
def test_imports_go_from_left_to_right(module: str) -> None:
    here = room(module)
    for other, _ in imports(module):
        if (there := room(other)) and there != here:
            allowed = PLACE[there] < PLACE[here] or PLACE[there] == PLACE[here] == FOUNDATION
            assert allowed, f"{module} imports {other}, which does not stand to its left"


def test_no_cycles() -> None:
    # the package itself holds the version, and names that it imports when they are used
    inner = [module for module in FILES if module != "saafe"]
    graph = {module: {other for other, _ in imports(module)} for module in inner}
    graphlib.TopologicalSorter(graph).prepare()


@pytest.mark.parametrize("module", FILES)
def test_names_come_from_the_module_that_makes_them(module: str) -> None:
    for other, name in imports(module):
        if name and FILES[other].name != "__init__.py":
            assert name in defined(other), f"{module} takes {name} from {other}, which imports it"


@pytest.mark.parametrize("door", DOORS)
def test_other_rooms_take_only_what_the_door_shows(door: str) -> None:
    shown = set(importlib.import_module(door).__all__)
    assert all(hasattr(importlib.import_module(door), name) for name in shown)
    for other in FILES:
        for module, name in imports(other):
            is_inside = module == door or module.startswith(f"{door}.")
            if other == "saafe" or room(other) == room(door) or not is_inside:
                continue
            if room(module) != room(door):  # a room within a package has a door of its own
                continue
            inner = module.removeprefix(door).removeprefix(".")
            taken = name if module == door else inner
            is_through = module == door or not name
            assert is_through, f"{other} reaches behind the door for {module}.{name}"
            assert taken in shown | {""}, f"{other} takes {taken}, which {door} does not show"


@pytest.mark.parametrize("module", FILES)
def test_no_function_hides_its_module(module: str) -> None:
    functions = {node.name for node in tree(module).body if isinstance(node, ast.FunctionDef)}
    assert module.split(".")[-1] not in functions


def test_no_public_name_has_two_meanings() -> None:
    makers: dict[str, list[str]] = {}
    for module in FILES:
        for node in tree(module).body:
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
                names = [node.name]
            elif isinstance(node, (ast.Assign, ast.AnnAssign)):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                found = [n for target in targets for n in ast.walk(target)]
                names = [n.id for n in found if isinstance(n, ast.Name)]
            else:
                names = []
            for name in names:
                if not name.startswith("_") and len(name) > 1:
                    makers.setdefault(name, []).append(module)
    # every reader has `read` and `PUBLISHER`; `main` is where a process begins
    twice = {name: found for name, found in makers.items() if len(set(found)) > 1}
    assert set(twice) <= {"read", "PUBLISHER", "main"}, twice


def test_no_file_of_a_run_has_two_makers() -> None:
    """Whose names stand alone, or in a row of names: `A, B = "a.json", "b.json"`."""
    makers: dict[str, list[str]] = {}
    for module in FILES:
        for node in tree(module).body:
            if isinstance(node, ast.Assign):
                is_row = isinstance(node.targets[0], ast.Tuple)
                values = node.value.elts if is_row and isinstance(node.value, ast.Tuple) else ()
                for value in (node.value, *values):
                    name = value.value if isinstance(value, ast.Constant) else None
                    if isinstance(name, str) and re.fullmatch(r"\w+\.(jsonl?|html|md)", name):
                        makers.setdefault(name, []).append(module)
    twice = {name: found for name, found in makers.items() if len(found) > 1}
    assert not twice, twice


@pytest.mark.parametrize("module", FILES)
def test_modules_are_short(module: str) -> None:
    assert len(FILES[module].read_text().splitlines()) < 450


# split, its inner loop takes a fifth longer: numba hands many arrays on slowly
LONG = {"saafe.simulator.compiled": "mix"}


@pytest.mark.parametrize("module", FILES)
def test_functions_are_short(module: str) -> None:
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            lines = node.end_lineno - node.lineno + 1
            assert lines <= 80 or LONG.get(module) == node.name, f"{node.name}: {lines} lines"


def test_no_archive_is_unpacked_as_early_python_3_11_cannot() -> None:
    """Debian 12's 3.11.2 knows no `filter`: every cloud job failed there with a traceback."""
    scripts = [*FILES.values(), *(ROOT.parent / "benchmarks").glob("*.py")]
    found = [
        f"{path.name}:{node.lineno}"
        for path in scripts
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
        and node.func.attr in ("extract", "extractall", "unpack_archive")
        and any(word.arg == "filter" for word in node.keywords)
    ]  # fmt: skip
    assert not found


def test_the_corridor_is_short() -> None:
    assert len(list(ROOT.glob("*.py"))) <= 15


def test_finds_real_imports() -> None:
    assert {"saafe.detector.alarms", "saafe.windows"} <= {
        m for m, _ in imports("saafe.detector.detector")
    }
    inside = {m for m, _ in imports("saafe.cli.detect")}
    assert "saafe.machines" in inside  # inside a function
    assert "saafe.cli.train" in {m for m, _ in imports("saafe.cli")}  # by a string


# the catalogue is for those who only detect, too
WITHOUT = ["saafe.simulator", "saafe.simulator.devices", "saafe.simulator.devices.fitting"]


@pytest.mark.parametrize(
    "module", ["saafe", "saafe.cli", "saafe.recipes", "saafe.cli.train", *WITHOUT]
)
def test_imports_without_torch(module: str) -> None:
    assert python(f"import sys, {module}; print('torch' in sys.modules)") == "False\n"


def test_a_recording_is_drawn_without_torch() -> None:
    """With matplotlib alone: a week of one's own is what somebody with a Raspberry Pi looks at."""
    asked = (
        "import sys; sys.modules['torch'] = None; from saafe.cli import saafe;"
        "saafe(['plot', 'docs/curtain.csv.gz'])"
    )
    assert "alarm" in python(asked)


@pytest.mark.parametrize("door", DOORS)
def test_doors_that_import_late_say_where_each_name_is_made(door: str) -> None:
    """What is shown to type checkers and what is imported when it is used are the same."""
    late = {}
    for node in tree(door).body:
        if isinstance(node, ast.If):
            late |= {
                alias.asname or alias.name: f"{one.module}.{alias.name}"
                for one in node.body
                if isinstance(one, ast.ImportFrom)
                for alias in one.names
            }
    module = importlib.import_module(door)
    for name, made in late.items():
        shown = getattr(module, name)
        if made in FILES or made in PACKAGES:
            assert shown is importlib.import_module(made)
        else:
            home, _, inner = made.rpartition(".")
            assert shown is getattr(importlib.import_module(home), inner), name
    if late:
        with pytest.raises(AttributeError, match="has no attribute 'absent'"):
            _ = module.absent


WITHOUT_TORCH = """
import sys

for name in ("torch", "onnxruntime", "boto3"):
    sys.modules[name] = None  # importing it fails, as if it were not installed
import numpy as np
from saafe.detector.alarms import AlarmSettings
from saafe.detector.detector import Scorer
from saafe.detector.recorded import detect
from saafe.recordings.recording import Recording

times = np.arange(0.0, 1200.0, 10.0)
readings = np.full((len(times), 1, 6), np.nan, np.float32)
readings[:, 0, 0] = 20.0
readings[:, 0, 1] = np.where(times >= 600.0, 500.0, 5.0)

def score(windows):
    return np.where(windows[:, -1, 0, 1] > 100.0, 99.99, 0.01).astype(np.float64)

recording = Recording("r", times, ("A",), readings)
for event in detect(Scorer(score, AlarmSettings(warm_s=0.0, fast_s=20.0)), recording).events:
    print(event["event"], event["time_s"], event["sensor"])
"""


def test_detector_runs_without_torch() -> None:
    assert python(WITHOUT_TORCH) == "alarm 620.0 A\n"
