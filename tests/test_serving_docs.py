"""docs/serving.md: its Python runs, and what it names is there."""

import configparser
import re
import shutil
import subprocess
import sys
from pathlib import Path

from serving_fixtures import CALM

from saafe.cli.detect import detect_command
from saafe.cli.serving import serve_command
from saafe.cli.tune import tune_command
from saafe.serving import TOPIC_PRESETS, Fleet, Notes, Service, Store, make_application

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs/serving.md").read_text()


def test_its_python_runs() -> None:
    (code,) = re.findall(r"```python\n(.*?)```", TEXT, re.S)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, cwd=ROOT
    )
    assert done.stdout == "[]\n['heat']\n[]\n", done.stderr


def test_it_names_what_there_is() -> None:
    for name, preset in TOPIC_PRESETS.items():
        assert f"| `{name}` |" in TEXT
        assert all(f"`{pattern}`" in TEXT for pattern in preset.patterns)
    service = Service(Fleet(CALM), Store(":memory:"), Notes(lambda _line: None))
    described = make_application(service, token=None).inner.openapi()["paths"]
    for path in described:
        named = path.replace("{name}", "NAME").replace("{number}", "ID")
        assert named.split("/NAME/")[0] in TEXT, path
    known = {
        o
        for command in (detect_command, serve_command, tune_command)
        for p in command.params
        for o in p.opts
    }
    others = {"--retained-only"}  # of mosquitto_sub
    others |= {"--only", "--hours", "--day-spaces"}  # of benchmarks/fleet.py
    assert set(re.findall(r"--[a-z][a-z-]+", TEXT)) <= known | others
    service.store.close()


def test_its_unit_never_gives_up(tmp_path: Path) -> None:
    """By systemd's defaults five starts in 10 s without the broker's name were the last ones."""
    (unit,) = re.findall(r"```ini\n(.*?)```", TEXT, re.S)
    read = configparser.ConfigParser()
    read.optionxform = str  # type: ignore[assignment]
    read.read_string(unit)
    assert read["Unit"]["StartLimitIntervalSec"] == "0"
    assert read["Service"]["Restart"] == "always"
    assert int(read["Service"]["RestartSec"]) >= 5
    if (analyze := shutil.which("systemd-analyze")) is None:
        return
    here = re.sub("User=.*\n|WorkingDirectory=.*\n", "", unit)  # which this machine lacks
    there = tmp_path / "saafe.service"
    there.write_text(re.sub(r"ExecStart=\S+", f"ExecStart={sys.executable}", here))
    done = subprocess.run([analyze, "verify", there], capture_output=True, text=True)
    assert "saafe.service" not in done.stdout + done.stderr, done.stderr


def test_its_pictures_are_small() -> None:
    for name in re.findall(r"\]\((serve-\w+\.png)\)", TEXT):
        assert (ROOT / "docs" / name).stat().st_size < 200_000
