"""The container's first script in this process: what it leaves is what the launcher takes."""

import json
import os
import signal
import tarfile
from collections import deque
from pathlib import Path

import pytest
from cloud_stub import write_stub

from saafe.cloud import artifact, container
from saafe.errors import InputError

WORDS = ["--name", "job", "--", "train", "tiny"]


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The container's folder, with one host of no GPU; signals are put back."""
    here = tmp_path / "ml"
    config = here / "input" / "config"
    config.mkdir(parents=True)
    one = {"hosts": ["algo-1"], "current_host": "algo-1", "network_interface_name": "eth0"}
    (config / "resourceconfig.json").write_text(json.dumps(one))
    monkeypatch.chdir(tmp_path)  # else `-m saafe` would find this package before the stub
    monkeypatch.setenv("SAGEMAKER_BASE_DIR", str(here))
    monkeypatch.setenv("SM_NUM_GPUS", "0")
    before = signal.getsignal(signal.SIGTERM)
    yield here
    signal.signal(signal.SIGTERM, before)


def ship(base: Path, requirements: str = "click", **behaviour: float | str) -> None:
    """Put the source archive where the code channel is."""
    source = write_stub(base.parent / "source", **behaviour)
    (source / "requirements.txt").write_text(requirements)
    channel = base / "input" / "data" / "code"
    channel.mkdir(parents=True)
    with tarfile.open(channel / "source.tar.gz", "w:gz") as tar:
        for path in sorted(source.iterdir()):
            tar.add(path, arcname=path.name)


def packed(base: Path) -> Path:
    """What SageMaker uploads of the folder `model`."""
    archive = base.parent / "model.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        for path in sorted((base / "model").rglob("*")):
            tar.add(path, arcname=path.relative_to(base / "model").as_posix(), recursive=False)
    return archive


def test_a_finished_training_is_handed_over_and_taken(base: Path) -> None:
    ship(base)
    assert container.main(WORDS) == 0
    run, home = base / "checkpoints" / "job", base.parent / "home"
    found = artifact.unpack_run(packed(base), home)
    assert found is not None
    assert found["finished"]
    assert found["files"].keys() == {"recipe.json", "model.safetensors", "exam.json"}
    for name in found["files"]:
        assert (home / name).read_bytes() == (run / name).read_bytes()
    assert json.loads((run / "recipe.json").read_text()) == ["tiny"]
    assert not (base / "output" / "failure").exists()


def test_a_training_goes_on_from_its_checkpoint(
    base: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    ship(base, epochs=5)
    checkpoint = base / "checkpoints" / "job" / "checkpoint"
    checkpoint.mkdir(parents=True)
    (checkpoint / "state.json").write_text('{"epoch": 3}')
    assert container.main(WORDS) == 0
    said = capfd.readouterr().out
    assert "resumed after epoch 3" in said
    assert [line[:9] for line in said.splitlines() if "epoch" in line[:6]] == [
        "epoch 4/5", "epoch 5/5",
    ]  # fmt: skip


def test_a_run_without_a_checkpoint_starts_afresh(base: Path) -> None:
    ship(base)
    (base / "checkpoints" / "job").mkdir(parents=True)  # the stub refuses a run that exists
    assert container.main(WORDS) == 0


@pytest.mark.parametrize(
    ("behaviour", "code", "reason"),
    [
        ({"fail": 7, "reason": "first\nCUDA is out of memory"}, 7, "CUDA is out of memory\n"),
        ({"fail": 1, "reason": "x" * 5000}, 1, "x" * container.LARGEST_REASON),
    ],
)
def test_a_failure_says_its_last_line_first(
    base: Path, behaviour: dict[str, float | str], code: int, reason: str
) -> None:
    ship(base, **behaviour)
    assert container.main(WORDS) == code
    told = (base / "output" / "failure").read_text()
    assert told.startswith(reason)
    assert len(told) <= container.LARGEST_REASON
    assert not (base / "model").exists(), "nothing is handed over"


def test_a_code_channel_that_is_damaged_is_a_failure(base: Path) -> None:
    ship(base)
    (base / "input" / "data" / "code" / "source.tar.gz").write_bytes(b"no archive")
    assert container.main(WORDS) == 1
    assert (base / "output" / "failure").read_text().startswith("ReadError: ")


def test_a_requirement_that_pip_cannot_install_is_a_failure(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")  # asks nobody
    ship(base, "click>=8 saafe-has-no-such-package==1")
    assert container.main(WORDS) == 1
    told = (base / "output" / "failure").read_text()
    assert told.startswith("OSError: pip could not install saafe-has-no-such-package==1")
    assert "No matching distribution" in told


def test_sigterm_before_the_training_ends_it_with_what_there_is(base: Path) -> None:
    """A stopped job that has a checkpoint hands it over, unfinished."""
    ship(base, epochs=600, pause=0.1)
    stop, run = container.Stop(), base / "checkpoints" / "job"
    stop(signal.SIGTERM, None)
    (run / "checkpoint").mkdir(parents=True)
    (run / "checkpoint" / "state.json").write_text('{"epoch": 3}')
    container.unpack_code(base)
    code = container.run_training(["train", "tiny"], base, run, deque(), stop)
    assert code in (0, -signal.SIGTERM)  # it may be ended before it listens
    container.hand_over(run, base / "model", is_finished=False)
    found = artifact.unpack_run(packed(base), base.parent / "home")
    assert found is not None
    assert not found["finished"]
    assert "checkpoint/state.json" in found["files"]


def test_ranks_meet_over_the_interface_that_the_platform_names(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = container.variables(base)
    assert (found["NCCL_SOCKET_IFNAME"], found["GLOO_SOCKET_IFNAME"]) == ("eth0", "eth0")
    assert found["PYTHONPATH"] == str(base / "code")
    assert "OMP_NUM_THREADS" not in found
    monkeypatch.setenv("SM_NUM_GPUS", "4")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert container.variables(base)["OMP_NUM_THREADS"] == "1"


def test_gpus_are_counted_by_the_driver_where_the_platform_is_silent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SM_NUM_GPUS", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert container.devices() == 0
    driver = tmp_path / "nvidia-smi"
    driver.write_text("#!/bin/sh\necho 'GPU 0: H200 (UUID: GPU-1)'\necho 'GPU 1: H200'\n")
    driver.chmod(0o755)
    assert container.devices() == 2
    driver.write_text("#!/bin/sh\nexit 9\n")
    assert container.devices() == 0


# what the launcher makes of it


def made(folder: Path, text: str) -> Path:
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text(text)
    return folder


def test_a_run_that_was_fetched_before_stays_and_another_is_not_overwritten(
    tmp_path: Path,
) -> None:
    run = tmp_path / "run"
    artifact._place(made(tmp_path / "first", "{}"), run)
    artifact._place(made(tmp_path / "same", "{}"), run)
    with pytest.raises(InputError, match="exists and is another run: move it away"):
        artifact._place(made(tmp_path / "other", '{"files": {}}'), run)
    assert (run / "manifest.json").read_text() == "{}"


def test_an_empty_archive_is_a_job_that_left_nothing(tmp_path: Path) -> None:
    archive = tmp_path / "model.tar.gz"
    tarfile.open(archive, "w:gz").close()
    assert artifact.unpack_run(archive, tmp_path / "run") is None


@pytest.mark.parametrize("key", ["../up", "a/../../up", "/etc/passwd"])
def test_a_key_that_leads_out_of_its_folder_is_refused(tmp_path: Path, key: str) -> None:
    with pytest.raises(ValueError, match="leads out of its folder"):
        artifact.inside(tmp_path, key)
    assert artifact.inside(tmp_path, "a/b") == tmp_path / "a" / "b"


def test_a_file_beside_the_manifest_is_refused(tmp_path: Path) -> None:
    run = made(tmp_path / "run", '{"files": {}, "finished": true}')
    assert artifact.check_manifest(run) == {"finished": True, "files": {}}
    (run / "extra").touch()
    with pytest.raises(InputError, match="extra is missing or not in the manifest"):
        artifact.check_manifest(run)


def test_whether_a_launcher_lives() -> None:
    assert artifact._is_alive(os.getpid())
    assert artifact._is_alive(1)
    child = os.spawnlp(os.P_NOWAIT, "true", "true")
    os.waitpid(child, 0)
    assert not artifact._is_alive(child)
