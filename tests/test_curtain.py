"""The recording of README's first command: an alarm in time, and how it was made."""

import gzip
import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from saafe import read_recording
from saafe.cli import saafe
from saafe.sensors import LABELS

ROOT = Path(__file__).parents[1]


def first_command(page: str, begins: str) -> list[str]:
    """The first command of a page that begins so, as words without its comment."""
    found = re.search(rf"^    (saafe {begins}.*)$", (ROOT / page).read_text(), re.MULTILINE)
    assert found is not None, f"{page} has no command saafe {begins}"
    return shlex.split(found[1], comments=True)[1:]


def test_the_first_command_alarms_after_the_fire_began(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    words = first_command("README.md", "")
    assert words == ["detect", "docs/curtain.csv.gz"]
    recording, _ = read_recording(words[1])
    assert recording.labels is not None
    began_s = recording.times_s[recording.labels[:, 0] == LABELS.index("fire")][0]
    done = CliRunner().invoke(saafe, words)
    assert done.exit_code == 0, done.output
    events = [json.loads(line) for line in done.stdout.splitlines()]
    alarms = [event["time_s"] for event in events if event["event"] == "alarm"]
    assert began_s == 1430.0
    assert len(alarms) == 1
    assert began_s < alarms[0] <= recording.times_s[-1], "none before, and one in it"


def test_the_recording_is_made_as_the_page_says(tmp_path: Path) -> None:
    words = first_command("docs/simulator.md", "simulate --scenarios 1 --source curtain")
    done = CliRunner().invoke(saafe, [*words[:-1], str(tmp_path / words[-1])])
    assert done.exit_code == 0, done.output
    kept, _ = read_recording(ROOT / "docs" / "curtain.csv.gz")
    lines = gzip.decompress((tmp_path / words[-1] / "simulated-00000.csv.gz").read_bytes())
    (tmp_path / "cut.csv").write_bytes(b"".join(lines.splitlines(keepends=True)[:221]))
    made, _ = read_recording(tmp_path / "cut.csv")
    assert (made.sensors, made.sources) == (kept.sensors, kept.sources)
    assert np.array_equal(made.times_s, kept.times_s)
    assert np.array_equal(made.labels, kept.labels)
    # another processor may round a last digit otherwise
    np.testing.assert_allclose(made.readings, kept.readings, atol=1.01)
