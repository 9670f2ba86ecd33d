"""The examples of docs/extend.md, put where it says into a copy of the package, and run."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def examples(title: str) -> list[str]:
    """Code blocks of one section."""
    text = (ROOT / "docs" / "extend.md").read_text()
    section = text[text.index(f"## {title}") :].split("\n## ")[0]
    return re.findall(r"```(?:python|text)\n(.*?)```", section, re.DOTALL)


def insert(file: Path, text: str, *, before: str) -> None:
    """Put text before the only place where another stands."""
    old = file.read_text()
    assert old.count(before) == 1, f"{file.name} has {old.count(before)} x {before!r}"
    file.write_text(old.replace(before, text + before))


@pytest.fixture
def package(tmp_path: Path) -> Path:
    shutil.copytree(ROOT / "saafe", tmp_path / "saafe")
    return tmp_path


def run(package: Path, code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, cwd=package,
        env={**os.environ, "PYTHONPATH": str(package), "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


END_TO_END = """
from pathlib import Path
import numpy as np
import torch
from saafe.detector.alarms import AlarmSettings
from saafe.detector.detector import Scorer
from saafe.detector.recorded import detect
from saafe.recipes import changed, find_tier
from saafe.recordings.recording import read_recording, write_recording
from saafe.sensors import CHANNEL_NAMES
from saafe.simulator.streams import to_recordings
from saafe.training.data import make_part, Purpose
from saafe.training.model import FireTransformer

(recording,) = to_recordings(streams)[:1]
write_recording(recording, Path("r.csv"))
again, check = read_recording("r.csv")
assert "voc" in check.channels, check.channels
windows = make_part(0, Purpose.TRAIN, 0, 64, torch.device("cpu"))
assert windows.windows.shape[-1] == 7 == len(CHANNEL_NAMES)
model = FireTransformer(changed(find_tier("tiny"), ())).eval()
model(windows.windows).sum().backward()

untrained = Scorer(lambda windows: np.full(len(windows), 50.0), AlarmSettings())
assert len(detect(untrained, again).risk) > 0
print("ok")
"""


@pytest.mark.slow
def test_a_channel(package: Path) -> None:
    row, physics, test = examples("Add a channel")
    insert(package / "saafe/sensors.py", row, before=")  # fmt: skip\nCHANNEL_NAMES")
    air = package / "saafe/simulator/air.py"
    before, end = air.read_text().rsplit("    return out\n", 1)  # of channels_of
    before = before.replace("import CHANNELS, ", "import CHANNEL_NAMES, CHANNELS, ")
    air.write_text(f"{before}{physics}    return out\n{end}")
    assert run(package, test + END_TO_END) == "ok\n"


@pytest.mark.slow
def test_a_channel_without_physics_is_missing(package: Path) -> None:
    row, _, test = examples("Add a channel")
    insert(package / "saafe/sensors.py", row, before=")  # fmt: skip\nCHANNEL_NAMES")
    code = test.replace("assert (voc[:, -1] > voc[:, 0]).any()", "print(voc.isnan().all().item())")
    assert run(package, code) == "True\n"


def test_a_reader(package: Path) -> None:
    module, fire = examples("Add a reader")
    last = '        yield Published(recording, check, "home")\n'
    door = package / "saafe/readers/__init__.py"
    for name, code in (("garage", module), ("bench", module.replace(last, fire))):
        (package / f"saafe/readers/{name}.py").write_text(code)
        insert(door, f"from saafe.readers import {name}\n\n", before="PUBLISHERS: dict")
        insert(door, f'    "{name}": {name}.PUBLISHER,\n', before='    "uhoo_homes": uhoo')
        (package / "raw" / name).mkdir(parents=True)
        rows = [f"2026-01-01T00:{k:02d}:00,{212 if k == 12 else 68}" for k in range(40)]
        (package / "raw" / name / "day1.csv").write_text("\n".join(["when,tempF", *rows]))
    code = (
        "from saafe.readers import read_published\n"
        "(one,) = read_published('garage', 'raw/garage')\n"
        "print(one.recording.readings[11:13, 0, 0].tolist())"
    )
    assert run(package, code) == "[20.0, 100.0]\n"
    for words in (
        "data convert garage raw/garage out",
        "evaluate --real raw --real-only --no-floor",
    ):
        done = subprocess.run(
            [sys.executable, "-m", "saafe", *words.split()], capture_output=True, text=True,
            cwd=package, env={**os.environ, "COLUMNS": "200"},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert "not scored" not in done.stdout + done.stderr
    assert "set garage: false alarms" in done.stdout
    assert "bench: day1" in done.stdout
    assert "900 (publisher)" in done.stdout


def test_a_device(package: Path) -> None:
    file, code = examples("Add a device")
    (package / "attic-box.toml").write_text(file)
    assert run(package, code) == "60.0\n"  # where it is kept
    shutil.move(package / "attic-box.toml", package / "saafe/simulator/devices/data")
    assert run(package, code.replace("attic-box.toml", "attic-box")) == "60.0\n"
    device = "from saafe.simulator import devices\none = devices.load_device('attic-box')\n"
    said = "print(sorted(one.channels), one.channels['temperature'].response_s)"
    assert run(package, device + said) == "['co2', 'humidity', 'temperature'] 240.0\n"


def test_a_fuel(package: Path) -> None:
    fuel, row = examples("Add a fuel")
    insert(package / "saafe/simulator/fires.py", fuel, before="SMOULDERING_CABLE = Fuel")
    sources = package / "saafe/simulator/sources.py"
    insert(sources, row, before='    Source("smouldering_cotton"')
    insert(sources, "    SMOULDERING_PEAT,\n", before="    SMOULDERING_WOOD,\n")
    code = (
        "import torch\n"
        "from saafe.simulator.scenarios import Mix\n"
        "from saafe.simulator.simulation import simulate_streams\n"
        "streams = simulate_streams(4, generator=torch.Generator().manual_seed(0), hours=1.0,\n"
        "    mix=Mix(1.0, fires=('smouldering_peat',), nuisance_counts=(1.0, 0.0, 0.0)))\n"
        "print((streams.truth[-1] > streams.truth[0]).any().item())"
    )
    assert run(package, code) == "True\n"


def test_a_model(package: Path) -> None:
    in_python, as_file = examples("Add a model")
    said = run(package, in_python + as_file).splitlines()
    assert said == ["['model']", "[]", "True"]
    for words in ("detect mine.onnx {}", "evaluate mine.onnx {} --real-only --no-floor"):
        done = subprocess.run(
            [sys.executable, "-m", "saafe", *words.format(ROOT / "docs/curtain.csv.gz").split()],
            capture_output=True, text=True, cwd=package,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert "alarm" in done.stdout


def test_a_rival(package: Path) -> None:
    module, row = examples("Add a rival")
    (package / "saafe/rivals/newest.py").write_text(module)
    registry = package / "saafe/rivals/registry.py"
    insert(registry, "from saafe.rivals.newest import fit_newest\n", before="from saafe.sensors")
    insert(registry, row, before='    "QUANT": Rival(')
    code = (
        "import torch\n"
        "from saafe.recipes import changed, find_tier\n"
        "from saafe.rivals import registry\n"
        "from saafe.training.data import make_part, Purpose\n"
        "parts = [make_part(0, Purpose.TRAIN, k, 64, torch.device('cpu')) for k in (0, 1)]\n"
        "registry.check_installed(['newest reading'])\n"
        "fit = registry.RIVALS['newest reading'].fit\n"
        "model = fit(changed(find_tier('tiny'), ()), *parts)\n"
        "logits = model(parts[1].windows)\n"
        "print(logits.shape[1:], logits.isfinite().all().item())"
    )
    assert run(package, code) == "torch.Size([1, 3]) True\n"
