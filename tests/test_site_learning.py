"""The whole chain: serve some days, tune on what it kept, and serve the new run where it stood."""

import http.client
import json
import re
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from serving_fixtures import NEVER, Process, eventually, processes

import saafe
from saafe.cli import saafe as saafe_group
from saafe.exam.amounts import Amounts
from saafe.own_rooms import read_rooms
from saafe.recipes import changed, find_tier
from saafe.recordings import Recording, read_recording, write_recording
from saafe.training import runs, thresholds
from saafe.training.model import FireTransformer

SMALL = ("width=16", "layers=1", "heads=2", "epochs=1", "windows=256", "batch=64", "streams=32",
         "held_out=64", "device=cpu")  # fmt: skip
FEW = Amounts(1, 2, 0, 0, 1, 6, 8)
DOCS = (Path(__file__).parents[1] / "docs/own-recordings.md").read_text()
POST = re.findall(r"```python\n(.*?)```", DOCS, re.S)[0].partition("\n\n\nfor number")[0]
HOURS = 12.0  # of so short a home nothing is held out, which takes less long


def ask(port: int, method: str, path: str, body: Any = None) -> Any:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    with closing(connection):
        connection.request(method, path, json.dumps(body), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        text = answer.read()
    assert answer.status < 300, text
    return json.loads(text)


def port_of(one: Process) -> int:
    return int(one.said("open http://127.0.0.1:").split("127.0.0.1:")[1].split("/")[0])


@pytest.mark.slow
def test_days_that_serve_keeps_tune_a_run_that_serve_goes_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(thresholds, "REFERENCE_STREAMS", 8)
    monkeypatch.setattr(thresholds, "DENSE_PARTS", 1)
    monkeypatch.setattr("saafe.exam.quick.QUICK", FEW)
    torch.manual_seed(0)
    recipe = changed(find_tier("ultra-fast"), SMALL)
    made = runs.new_folder(tmp_path / "runs", "RUN", recipe)
    runs.save_model(made, recipe, FireTransformer(recipe), NEVER)

    (home,) = saafe.simulate(1, seed=3, hours=HOURS, sources=["kettle", "shower"])
    at = np.flatnonzero(np.isfinite(home.readings[:, 0]).any(axis=1))[::6]
    thin = Recording("home", home.times_s[at], ("A",), home.readings[at, :1])
    write_recording(thin, "home.csv.gz")
    thin, _ = read_recording("home.csv.gz")  # as it was written, rounded
    began_s = round(time.time() - 3600 * HOURS)
    with processes() as running:
        running.append(Process("serve", made, "--port", 0, "--keep", "quiet", cwd=tmp_path))
        port = port_of(running[0])
        made_by_docs: dict[str, Any] = {}
        exec(POST, made_by_docs)
        count = made_by_docs["post"]("kitchen", "home.csv.gz", began_s, f"http://127.0.0.1:{port}")
        assert count == len(at)
        for heat in (21, 21, 21, 70, 72, 74):  # it burns in the cellar
            ask(port, "POST", "/readings", {"space": "cellar", "temperature": heat})
            time.sleep(1.2)  # rows of one second are one
        eventually(lambda: ask(port, "GET", "/spaces/cellar")["state"] == "alarm", 60.0)
        before = ask(port, "GET", "/events")
        assert running[0].end() == 0

        kept = [read_recording(path)[0] for path in sorted(tmp_path.glob("quiet/kitchen/2*.gz"))]
        held = [
            (part.start.timestamp() + t, *cells)
            for part in kept
            if part.start is not None
            for t, cells in zip(part.times_s.tolist(), part.readings[:, 0].tolist(), strict=True)
        ]
        sent = np.column_stack([began_s + thin.times_s, thin.readings[:, 0]])
        sent = sent[thin.times_s < thin.times_s[-1] - 3 * 3600]
        assert np.allclose(held, sent, rtol=0.0, atol=0.006, equal_nan=True)
        assert read_rooms("quiet").groups == ("quiet: kitchen/days",)

        words = ["tune", str(made), "--on", "quiet", "--name", "mine"]
        done = CliRunner().invoke(saafe_group, words)
        assert done.exit_code == 0, (done.output, done.exception)
        assert (tmp_path / "runs" / "mine" / "own_rooms.json").is_file()

        running.append(Process("serve", "runs/mine", "--port", 0, "--keep", "quiet", cwd=tmp_path))
        port = port_of(running[1])
        assert ask(port, "GET", "/spaces/cellar")["state"] == "alarm"
        assert ask(port, "GET", "/events") == before  # it stands, and is not said again
        assert [one["space"] for one in ask(port, "GET", "/raised")] == ["cellar"]
        assert len(ask(port, "GET", "/spaces/kitchen/history")["risk"]) > 0
        assert running[1].end() == 0
