"""Nothing that was trained is lost: kills, full disks, damage and foreign folders."""

import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from saafe import recipes, training_run
from saafe.errors import InputError
from saafe.exam import report
from saafe.files import sole_use
from saafe.own_rooms import tuned_run
from saafe.recipes import changed, find_tier
from saafe.training import runs
from saafe.training.checkpoints import CHECKPOINT_FILE

CHANGES = (
    "width=16", "layers=1", "heads=2", "windows=256", "batch=64", "epochs=24", "streams=16",
    "held_out=32", "device=cpu", "dropout=0.1", "patience=99",
)  # fmt: skip
TINY = changed(find_tier("ultra-fast"), CHANGES)

# the training of `saafe train` on fewer streams, without the exam that follows
TRAIN = """
import os, signal, sys, threading, time
from pathlib import Path
import torch
torch.set_num_threads(1)
from saafe import recipes, training_run
from saafe.training import data, thresholds
from saafe.training.distributed import attempt
from saafe.errors import InputError
from saafe.exam import report
data.PART_STREAMS = thresholds.REFERENCE_STREAMS = 16
thresholds.DENSE_PARTS = 1
out, changes = Path(sys.argv[1]), tuple(sys.argv[2:])
recipe = recipes.changed(recipes.find_tier("ultra-fast"), changes)

def die_once():
    while not (out / "r" / "checkpoint" / "fit.safetensors").exists():
        time.sleep(0.01)
    os.kill(os.getpid(), signal.SIGKILL)

if os.environ.get("KILL_RANK") == os.environ.get("RANK", "0") and attempt() == 0:
    threading.Thread(target=die_once, daemon=True).start()
print("ready", flush=True)
try:
    resume = (out / "r").exists() and "WORLD_SIZE" not in os.environ
    folder = training_run.open_folder(recipe, out, "r", resume=resume)
    training_run.train_in(recipe, folder, on_epoch=lambda at: None, resume=resume)
except InputError as error:
    sys.exit(f"saafe: {error}")
"""


def start(out: Path, *, limit: int | None = None, changes: tuple[str, ...] = CHANGES):
    """Train in a process of its own, if wanted with a limit on the size of files. [bytes]"""

    def limit_files() -> None:
        if limit is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    return subprocess.Popen(
        [sys.executable, "-c", TRAIN, str(out), *changes], stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, preexec_fn=limit_files,
    )  # fmt: skip


def finish(process: subprocess.Popen) -> str:
    """Wait for a training that must end well; its stderr."""
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    return err


def files_in(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def wait_ready(process: subprocess.Popen) -> float:
    """Wait until a training has imported what it needs; the time of that."""
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n", process.communicate()[1]
    return time.perf_counter()


def epochs_in(folder: Path) -> int:
    """How many epochs a run's folder has kept."""
    metrics = folder / runs.METRICS
    return len(metrics.read_text().splitlines()) if metrics.exists() else 0


def wait_for_epochs(process: subprocess.Popen, folder: Path, more: int) -> None:
    """Wait until a training has gone on by some epochs, or has ended."""
    until = epochs_in(folder) + more
    while process.poll() is None and epochs_in(folder) < min(until, TINY.epochs):
        time.sleep(0.01)


@pytest.mark.slow
def test_killed_at_twenty_random_moments(tmp_path: Path) -> None:
    process = start(tmp_path / "whole")
    began = wait_ready(process)
    finish(process)
    spent = time.perf_counter() - began
    whole = tmp_path / "whole" / "r"
    dice, kills, epochs, out = random.Random(0), 0, set(), tmp_path / "killed"
    while kills < 20:
        process = start(out)
        began = wait_ready(process)
        try:
            if kills % 2:  # however quick training is beside the rest, kills come at many epochs
                wait_for_epochs(process, out / "r", dice.randint(1, 3))
            process.wait(dice.uniform(0.0, spent) if kills % 2 == 0 else 0.0)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            kills += 1
            epochs.add(epochs_in(out / "r"))
        else:  # it got through between kills: as quick as that is a whole run now
            spent = min(spent, time.perf_counter() - began)
            finish(process)
            assert_same(out / "r", whole)
            out = tmp_path / f"killed-{kills}"
    assert len(epochs) > 5, f"kills came at too few moments: {epochs}"
    finish(start(out))
    assert_same(out / "r", whole)


def assert_same(killed: Path, whole: Path) -> None:
    """A run that was killed and resumed left what the other one left."""
    assert runs.sha256(killed / runs.MODEL) == runs.sha256(whole / runs.MODEL)
    told = [json.loads(line)["epoch"] for line in (killed / runs.METRICS).read_text().splitlines()]
    assert told == list(range(1, TINY.epochs + 1))
    assert set(files_in(killed)) == set(files_in(whole)), "kills leave nothing behind"


@pytest.mark.slow
def test_full_disk_leaves_the_last_checkpoint(tmp_path: Path) -> None:
    process = start(tmp_path)
    file = tmp_path / "r" / "checkpoint" / CHECKPOINT_FILE
    while not file.exists():
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.01)
    process.kill()
    process.communicate()
    before = file.read_bytes()
    full = start(tmp_path, limit=len(before) // 2)
    _, err = full.communicate(timeout=300)
    assert full.returncode == 1
    assert err.startswith("saafe: ")
    assert err.count("\n") == 1
    assert "free some space" in err
    assert file.read_bytes() == before
    assert [p.name for p in file.parent.iterdir()] == [CHECKPOINT_FILE]
    finish(start(tmp_path))


def torchrun(out: Path, **environment: str) -> subprocess.CompletedProcess:
    script = out.with_suffix(".py")
    script.write_text(TRAIN)
    return subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2",
         "--max-restarts", "2", str(script), str(out), *CHANGES],
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip


@pytest.mark.slow
def test_killed_rank_restarts_from_the_checkpoint(tmp_path: Path) -> None:
    whole = torchrun(tmp_path / "whole")
    assert whole.returncode == 0, whole.stderr
    killed = torchrun(tmp_path / "killed", KILL_RANK="1")
    assert killed.returncode == 0, killed.stderr
    assert "Signal 9" in killed.stderr or "exitcode: -9" in killed.stderr, killed.stderr
    first, second = (tmp_path / name / "r" / runs.MODEL for name in ("whole", "killed"))
    assert runs.sha256(first) == runs.sha256(second)


@pytest.mark.slow
def test_interrupt_and_resume_by_the_command_line(tmp_path: Path) -> None:
    sets = [part for change in CHANGES for part in ("--set", change)]
    command = [sys.executable, "-m", "saafe", "train", *sets, "--out", str(tmp_path), "--name", "r"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("epoch 2/"):
            break
    process.send_signal(signal.SIGINT)
    rest = process.communicate(timeout=60)[1]
    assert process.returncode == 130
    assert "Traceback" not in rest
    said = rest.strip().splitlines()[-1]
    assert said.startswith("saafe: stopped; continue with: saafe train ultra-fast")
    assert not (tmp_path / "r" / runs.MODEL).exists()
    again = [sys.executable, "-m", *said.split("continue with: ")[1].split(), "--json"]
    done = subprocess.run(again, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "epoch 1/" not in done.stderr, "the first epochs are not trained again"
    assert json.loads(done.stdout)["epochs"] == TINY.epochs


# --- what is there is left untouched ----------------------------------------------------------


@pytest.fixture
def begun(tmp_path: Path) -> Path:
    """A run that has begun and has no checkpoint yet."""
    return runs.new_folder(tmp_path, "begun", TINY)


def refuse(recipe: recipes.Recipe, folder: Path, said: str) -> None:
    """Resuming says one line, and leaves every byte where it was."""
    before = files_in(folder)

    def resume() -> None:
        found = training_run.open_folder(recipe, folder.parent, folder.name, resume=True)
        training_run.train_in(recipe, found, on_epoch=lambda _: None, resume=True)

    with pytest.raises(InputError, match=said) as error:
        resume()
    assert "\n" not in str(error.value)
    assert files_in(folder) == before


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"\x80\x04pickle" * 99])
def test_damaged_checkpoint_is_left_alone(begun: Path, content: bytes) -> None:
    (begun / "checkpoint" / CHECKPOINT_FILE).write_bytes(content)
    (begun / runs.METRICS).write_text('{"epoch": 1}\n')
    refuse(TINY, begun, "is damaged")


def test_truncated_checkpoint_is_left_alone(begun: Path) -> None:
    import torch
    from safetensors.torch import save

    whole = save({"x": torch.zeros(1000)}, {"format": "saafe-checkpoint-1"})
    (begun / "checkpoint" / CHECKPOINT_FILE).write_bytes(whole[:2000])
    refuse(TINY, begun, "is damaged")


def test_other_recipe_is_left_alone(begun: Path) -> None:
    refuse(changed(TINY, ("width=32",)), begun, "another recipe")


@pytest.mark.parametrize(
    "content",
    [None, "", "[1]", '{"tier": "mine", "depth": 3}', "{", pytest.param("[" * 10**5, id="deep")],
)
def test_foreign_folder_is_left_alone(tmp_path: Path, content: str | None) -> None:
    folder = tmp_path / "mine"
    (folder / "checkpoint").mkdir(parents=True)
    (folder / "notes.txt").write_text("precious")
    if content is not None:
        (folder / runs.RECIPE).write_text(content)
    refuse(TINY, folder, "no run of saafe; left alone")
    with pytest.raises(InputError, match="exists"):
        training_run.open_folder(TINY, tmp_path, "mine", resume=False)


def test_a_new_folder_is_there_whole_or_not_at_all(begun: Path) -> None:
    assert runs.read_recipe(begun) == TINY
    assert [p.name for p in begun.parent.iterdir()] == ["begun"]


@pytest.mark.parametrize("failing", ["write_json", "environment"])
def test_a_folder_that_cannot_be_made_leaves_nothing(
    tmp_path: Path, failing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a full disk, or as somebody presses Ctrl-C meanwhile."""
    why = {"write_json": InputError("no room"), "environment": KeyboardInterrupt()}[failing]

    def fails(*_: object) -> None:
        raise why

    monkeypatch.setattr(runs, failing, fails)
    with pytest.raises(type(why)):
        runs.new_folder(tmp_path, "mine", TINY)
    assert not list(tmp_path.iterdir())


def test_what_a_kill_left_of_a_new_folder_is_no_run_and_goes(begun: Path, tmp_path: Path) -> None:
    half = tmp_path / ".mine.4711"
    shutil.copytree(begun, half)
    (half / ".recipe.json.12").write_text("half")
    for name in (".precious.12", ".young.13", ".mine.no-number"):
        shutil.copytree(begun, tmp_path / name)
    (tmp_path / ".precious.12" / "notes.txt").write_text("mine")
    assert training_run.open_folder(TINY, tmp_path, None, resume=True) == begun
    for name in (".mine.4711", ".precious.12", ".mine.no-number"):
        os.utime(tmp_path / name, (0.0, 0.0))
    runs.new_folder(tmp_path, "new", TINY)
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"begun", "new", ".precious.12", ".young.13", ".mine.no-number"}


def test_a_restart_of_torchrun_resumes(
    begun: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
    for name in ("begun", None):
        assert training_run.open_folder(TINY, tmp_path, name, resume=False) == begun
    new = training_run.open_folder(TINY, tmp_path, "new", resume=False)
    assert new.is_dir(), "a rank died before there was a folder"


def test_metrics_are_cut_to_the_checkpoint(tmp_path: Path) -> None:
    file = tmp_path / runs.METRICS
    training_run.keep_epochs(file, 3)
    assert not file.exists()
    file.write_bytes(b"1\n2\xff\n3\n")  # damaged, too
    training_run.keep_epochs(file, 2)
    assert file.read_bytes() == b"1\n2\xff\n"


@pytest.mark.parametrize("content", [None, b"", b'{"saafe": "0.1', b"[]", b"\xff\xfe\x00"])
def test_a_training_that_has_ended_does_not_fail_for_where_it_was_made(
    begun: Path, content: bytes | None
) -> None:
    """It failed once the last epoch was over, and was never examined."""
    file = begun / runs.ENVIRONMENT
    whole = training_run.read_environment(begun)
    file.unlink()
    if content is not None:
        file.write_bytes(content)
    assert training_run.read_environment(begun).keys() == whole.keys()
    assert "recipe" in report.provenance_section(begun, {})


def test_what_a_killed_writer_left_is_swept(begun: Path) -> None:
    for name in (".model.safetensors.4711", ".recipe.json.12", ".keep", "notes.12"):
        (begun / name).write_text("half")
    training_run.sweep(begun)
    left = {path.name for path in begun.iterdir()}
    assert left == {".keep", "notes.12", "checkpoint", runs.RECIPE, runs.ENVIRONMENT}


def test_one_process_trains_in_a_folder_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two wrote their epochs into one metrics.jsonl."""
    folder = training_run.open_folder(TINY, tmp_path, "r", resume=False)
    before = sorted(path.name for path in folder.iterdir())
    with (
        sole_use(folder, "somebody else trains"),
        pytest.raises(InputError, match="another process trains there"),
    ):
        training_run.train_in(TINY, folder, on_epoch=lambda _: None, resume=True)
    monkeypatch.setattr(tuned_run, "plan_folds", lambda rooms: SimpleNamespace(folds=()))
    general: Any = SimpleNamespace(recipe=TINY)
    rooms: Any = SimpleNamespace(rooms=())
    with (
        sole_use(folder, "somebody else tunes"),
        pytest.raises(InputError, match="another process tunes there"),
    ):
        tuned_run.tune_in(folder, general, rooms, None, on_progress=print)
    assert sorted(path.name for path in folder.iterdir()) == before
    with sole_use(folder, "nobody does"):
        pass
