"""Archives: what patterns name, events a recording, resumed, in one process, on disk and in S3."""

import glob
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner
from export_fixtures import small_run

import saafe
from saafe.cli import saafe as command
from saafe.cli.output import run as run_words
from saafe.errors import InputError
from saafe.machines import archive, s3, storage
from saafe.machines.archive import DetectOptions, events_of_archive
from saafe.machines.shipping import pack_model, unpack_model
from saafe.machines.storage import DiskStorage, find_entries, is_match, name_below, open_storage
from saafe.recordings import counted
from saafe.training.runs import Run, load

pytest_plugins = ["cloud_fixtures"]
ROOT = Path(saafe.__file__).parent.parent


def write_home(path: Path, seed: int, hours: float = 2.0, burns: bool = False) -> None:
    """A home of one sensor every 10 s, with peaks that a model of random weights reacts to."""
    draw = np.random.default_rng(seed)
    times = np.arange(0.0, 3600.0 * hours, 10.0)
    peaks = np.maximum(np.sin(times / 900.0 + seed), 0.0)
    table = pl.DataFrame({
        "time_s": times,
        "sensor": ["A"] * len(times),
        "temperature_c": 20.0 + 3.0 * peaks + draw.normal(0, 0.05, len(times))
        + (60.0 * (times > 3600.0) if burns else 0.0),
        "pm25_ug_m3": 8.0 + 300.0 * peaks**4 + draw.normal(0, 1.0, len(times)).clip(-5),
        "co2_ppm": 600.0 + 400.0 * peaks + draw.normal(0, 5.0, len(times)),
    })  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        table.write_parquet(path)
    else:
        table.write_csv(path)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return small_run(tmp_path_factory.mktemp("runs"))


@pytest.fixture
def homes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Four homes in two folders, one of which burns."""
    monkeypatch.chdir(tmp_path)
    for k, name in enumerate(("a/kitchen.parquet", "a/hall.parquet", "b/kitchen.parquet")):
        write_home(tmp_path / "homes" / name, k, burns=k == 2)
    write_home(tmp_path / "homes" / "b" / "loft.csv", 3)
    return tmp_path / "homes"


def saafe_command(*words: object) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a command."""
    done = CliRunner().invoke(command, [str(word) for word in words])
    if done.exception and not isinstance(done.exception, SystemExit | InputError):
        raise done.exception
    said = done.stderr + (str(done.exception) if isinstance(done.exception, InputError) else "")
    return (1 if isinstance(done.exception, InputError) else done.exit_code), done.stdout, said


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder by its name."""
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def test_the_events_of_an_archive_are_those_of_its_recordings(run: Run, homes: Path) -> None:
    code, out, _ = saafe_command("detect", run.folder, "homes/**/*.*", "--out", "events")
    assert code == 0
    found = contents(Path("events"))
    names = {"a/kitchen.parquet", "a/hall.parquet", "b/kitchen.parquet", "b/loft.csv"}
    assert found.keys() == {f"{name}.jsonl" for name in names} | {"detect.json"}
    alarms = 0
    for name in names:
        _, alone, _ = saafe_command("detect", run.folder, homes / name)
        assert found[f"{name}.jsonl"] == alone.encode()
        alarms += sum(json.loads(line)["event"] == "alarm" for line in alone.splitlines())
    assert alarms > 0
    assert out.startswith(f"events: {counted(alarms, 'alarm')} in ")
    assert out.count("\n") == 1


def test_what_is_done_is_not_done_again(run: Run, homes: Path, monkeypatch) -> None:
    command_line = ("detect", run.folder, "homes/*/*.parquet", "--out", "events", "--json")
    first = json.loads(saafe_command(*command_line)[1])
    assert (first["done"], first["done_before"]) == (3, 0)
    Path("events/a/hall.parquet.jsonl").unlink()  # as if it had been stopped before it
    changed = homes / "b" / "kitchen.parquet"
    write_home(changed, 9)
    later = Path("events/b/kitchen.parquet.jsonl").stat().st_mtime + 5.0
    os.utime(changed, (later, later))
    asked = []
    find = archive.outcome_of

    def remember(model: Run, path: str, how: DetectOptions) -> archive.Outcome:
        asked.append(path)
        return find(model, path, how)

    monkeypatch.setattr(archive, "outcome_of", remember)
    again = json.loads(saafe_command(*command_line)[1])
    assert (again["done"], again["done_before"]) == (2, 1)
    assert asked == ["homes/a/hall.parquet", "homes/b/kitchen.parquet"]
    third = json.loads(saafe_command(*command_line)[1])
    assert third["done"] == 1  # the recording is of the future: newer than any events
    whole = contents(Path("events"))
    saafe_command(*command_line[:4], "fresh")
    assert whole == contents(Path("fresh"))


def test_unreadable_recordings_are_named_and_the_others_go_on(run: Run, homes: Path) -> None:
    (homes / "a" / "broken.parquet").write_bytes(b"PAR1 and no more")
    (homes / "a" / "empty.parquet").write_bytes(b"")
    code, out, said = saafe_command("detect", run.folder, "homes/a/*", "--out", "events", "--json")
    assert code == 1
    found = json.loads(out)
    assert (found["recordings"], found["done"]) == (4, 2)
    names = ["homes/a/broken.parquet", "homes/a/empty.parquet"]
    assert [row["file"] for row in found["failed"]] == names
    assert "failed 2 of 4 recordings: homes/a/broken.parquet, homes/a/empty.parquet" in said
    assert not Path("events/broken.parquet.jsonl").exists()
    write_home(homes / "a" / "broken.parquet", 5)
    again = json.loads(
        saafe_command("detect", run.folder, "homes/a/*", "--out", "events", "--json")[1]
    )
    assert (again["done"], again["done_before"], len(again["failed"])) == (1, 2, 1)


def test_a_long_name_stops_no_archive(run: Run, homes: Path) -> None:
    long, longer = "a" * 240 + ".csv", "a" * 251 + ".csv"  # .jsonl comes to it
    for name in (long, longer):
        write_home(homes / name, 9)
    code, _, said = saafe_command("detect", run.folder, homes / "*.csv", "--out", homes / "ev")
    assert code == 1
    assert "would have 261 bytes; allowed are 255; rename the recording" in said
    written = {path.name for path in (homes / "ev").glob("*.jsonl")}
    recordings = {path.name for path in homes.glob("*.csv")} - {longer}
    assert written == {f"{name}.jsonl" for name in recordings}


def test_events_of_two_models_do_not_mix(run: Run, homes: Path, tmp_path: Path) -> None:
    line = ("homes/a/*", "--out", "events")
    assert saafe_command("detect", run.folder, *line)[0] == 0
    other = small_run(tmp_path / "other", seed=1)
    before = contents(Path("events"))
    for words in (
        ("detect", other.folder, *line),
        ("detect", run.folder, *line, "--longest-interval", "600"),
        ("detect", run.folder, *line, "--repair"),
    ):
        code, _, said = saafe_command(*words)
        assert code == 1
        assert "made with another" in said
        assert "--out" in said
    assert contents(Path("events")) == before


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("homes/*/*.xls", "--out", "e"), "homes/*/*.xls: matches no file"),
        (("homes/*/*.xls",), "homes/*/*.xls: matches no file"),
        (("homes/a/kitchen.parquet", "homes/b/kitchen.parquet", "--out", "e"), "both called"),
        (("homes/a/*", "homes/b/*", "--out", "e"), "both called kitchen.parquet"),
        (("homes/a/*", "--workers", "127.0.0.1:1"), "--workers needs --out"),
        (("homes/a/*", "--out", "homes/b/loft.csv"), "homes/b/loft.csv: cannot be made"),
        (("-", "--out", "e"), "--out is for recordings"),
        (("s3://bucket/a.csv",), "--out EVENTS"),
        (("s3://B/a.csv", "--out", "e"), "names no bucket"),
        (("homes/a/*", "--out", "s3://"), "names no bucket"),
        (("homes/a/*", "--out", "e", "--workers", "0"), "1 to 1024"),
        (("homes/a/*", "--out", "e", "--workers", "nowhere"), "--workers nowhere"),
        (("homes/a/*", "--out", "e", "--workers", "carrier://pigeon:1"), "carrier"),
        (("homes/a/*", "--out", "e", "--workers", "tls://127.0.0.1:1"), "certificate"),
    ],
)
def test_bad_words_are_one_line(run: Run, homes: Path, words: tuple[str, ...], said: str) -> None:
    code, out, came = saafe_command("detect", run.folder, *words)
    assert code == 1
    assert out == ""
    assert said in came
    assert "\n" not in came.strip()


def test_without_out_patterns_are_files_too(run: Run, homes: Path) -> None:
    _, quoted, _ = saafe_command("detect", run.folder, "homes/a/*")
    _, bare, _ = saafe_command("detect", run.folder, *sorted(glob.glob("homes/a/*")))
    assert quoted == bare
    assert '"file": "homes/a/kitchen.parquet"' in quoted


def test_a_file_may_be_called_like_a_pattern(run: Run, homes: Path) -> None:
    write_home(homes / "odd[1].csv", 0)
    write_home(homes / "odd1.csv", 1)
    assert [one.name for one in find_entries(["homes/odd[1].csv"])] == ["odd[1].csv"]
    assert [one.name for one in find_entries(["homes/odd?.csv"])] == ["odd1.csv"]
    assert saafe_command("detect", "homes/odd*", "--out", "e")[0] == 0  # the packaged model


def test_recordings_without_folders_between_have_their_own_names(homes: Path) -> None:
    words = ["homes/a/kitchen.parquet", "homes/a/kitchen.parquet", "./homes/a/hall.parquet"]
    assert [one.name for one in find_entries(words)] == ["hall.parquet", "kitchen.parquet"]


@pytest.mark.parametrize("pattern", [
    "*", "*.csv", "a*", "a/*", "*/*.csv", "**", "**/*.csv", "a/**", "a/**/x.csv", "?.csv",
    "[ab].csv", "[!a].csv", ".*", "a/b/*", "**/b/*", "**/**", "*/**/x.csv", "a", "nothing/*",
])  # fmt: skip
def test_patterns_mean_in_s3_what_they_mean_on_a_disk(
    pattern: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = ("a.csv", "b.csv", "ab.csv", "a/x.csv", "a/b/x.csv", "a/b/c/x.csv", "b/y.csv",
            ".hidden.csv", ".h/x.csv", "a/.h/x.csv", "A.CSV", "a/b/x.parquet")  # fmt: skip
    monkeypatch.chdir(tmp_path)
    for key in keys:
        (tmp_path / key).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / key).touch()
    on_disk = {path for path in glob.glob(pattern, recursive=True) if Path(path).is_file()}
    assert {key for key in keys if is_match(key.split("/"), pattern.split("/"))} == on_disk


def test_the_consoles_mark_of_a_folder_is_no_recording(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is an object of no bytes, and failed in each run over a bucket that has one."""
    keys = ("homes/", "homes/a/", "homes/a/x.csv", "homes/y.csv")
    monkeypatch.setattr(
        storage, "list_objects",
        lambda _bucket, begin: [s3.Object(k, 1, 0.0) for k in keys if k.startswith(begin)],
    )  # fmt: skip
    for pattern, names in {
        "homes/**": ["a/x.csv", "y.csv"], "homes/*/*": ["a/x.csv"], "homes/*": ["y.csv"],
        "**/*": ["homes/a/x.csv", "homes/y.csv"],
    }.items():  # fmt: skip
        assert [one.name for one in find_entries([f"s3://bucket/{pattern}"])] == names
    with pytest.raises(InputError, match="matches no file"):
        find_entries(["s3://bucket/homes/"])


def test_names_do_not_lead_out_of_a_folder(tmp_path: Path) -> None:
    assert name_below("../../etc/x") == "_./_./etc/x"
    assert name_below("/etc//x\n") == "etc/_/x_"
    place = DiskStorage(tmp_path / "e")
    place.write(name_below("../x"), b"1")
    assert not (tmp_path / "x").exists()
    assert list(place.written()) == ["_./x"]


def test_a_model_that_travelled_scores_alike(run: Run) -> None:
    windows = np.random.default_rng(0).uniform(0, 50, (7, 60, 1, 6)).astype(np.float32)
    there = unpack_model(pack_model(run))
    assert there is unpack_model(pack_model(run))  # once a process
    assert there.folder != run.folder
    assert (there.settings, there.identity) == (run.settings, run.identity)
    np.testing.assert_array_equal(there.score(windows), run.score(windows))
    own = saafe.load()
    travelled = unpack_model(pack_model(own))
    assert travelled.settings == own.settings
    np.testing.assert_array_equal(travelled.score(windows), own.score(windows))


def test_a_recording_that_travelled_is_refused_in_the_same_words(run: Run, homes: Path) -> None:
    for data in (b"", b"PAR1 and no more", b"time_s;temperature_c\n0;20,5\n", b"\xff\xfe\n1"):
        for name in ("x y.csv", "x.parquet", "x.csv.gz"):
            path = homes / name
            path.write_bytes(data)
            here = archive.outcome_of(run, str(path), DetectOptions())
            path.unlink()
            there = archive.outcome_of(run, str(path), DetectOptions(), data)
            assert here.error
            assert here == there


def test_in_s3_as_on_a_disk(
    run: Run,
    homes: Path,
    emulator,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in s3_environment(emulator).items():
        monkeypatch.setenv(name, value)
    s3.s3_client.cache_clear()
    bucket = "homes-of-a-test"
    emulator.aws().call("s3", "create_bucket", Bucket=bucket)
    for name, data in contents(homes).items():
        s3.put_object(f"s3://{bucket}/all/{name}", data)
    s3.put_object(f"s3://{bucket}/all/a/damaged.parquet", b"PAR1 and no more")
    events = f"s3://{bucket}/events"
    code, out, said = saafe_command(
        "detect", run.folder, f"s3://{bucket}/all/**/*.*", "--out", events, "--json"
    )
    assert code == 1
    assert f"s3://{bucket}/all/a/damaged.parquet: not readable as Parquet" in said
    assert json.loads(out)["done"] == 4
    saafe_command("detect", run.folder, "homes/**/*.*", "--out", "events")
    there = open_storage(events)
    assert {name: there.read(name) for name in there.written()} == contents(Path("events"))
    again = saafe_command("detect", run.folder, f"s3://{bucket}/all/b/*", "--out", events, "--json")
    assert json.loads(again[1])["done"] == 2  # by other names: below b
    for words, line in (
        ((f"s3://{bucket}/none/*",), "matches no file"),
        (("s3://no-such-bucket-here/x*",), "NoSuchBucket"),
    ):
        code, _, said = saafe_command("detect", run.folder, *words, "--out", "e")
        assert (code, line in said, "\n" in said.strip()) == (1, True, False)
    s3.s3_client.cache_clear()


def s3_environment(emulator) -> dict[str, str]:
    """What leads any client of S3 to the emulator."""
    key, secret = emulator.aws().keys
    return {
        "AWS_ENDPOINT_URL": emulator.url, "AWS_ACCESS_KEY_ID": key,
        "AWS_SECRET_ACCESS_KEY": secret, "AWS_DEFAULT_REGION": "us-east-1",
    }  # fmt: skip


def test_more_than_a_page_of_objects(monkeypatch: pytest.MonkeyPatch, emulator) -> None:
    for name, value in s3_environment(emulator).items():
        monkeypatch.setenv(name, value)
    s3.s3_client.cache_clear()
    emulator.aws().call("s3", "create_bucket", Bucket="many-objects")
    asked = s3.ask
    monkeypatch.setattr(
        s3, "ask",
        lambda url, operation, **more: asked(
            url, operation, **more, **({"MaxKeys": 3} if "list" in operation else {})
        ),
    )  # fmt: skip
    for k in range(8):
        s3.put_object(f"s3://many-objects/{k}", b"x" * k)
    found = list(s3.list_objects("many-objects", ""))
    assert [(one.key, one.size) for one in found] == [(str(k), k) for k in range(8)]
    s3.s3_client.cache_clear()


def test_without_keys_s3_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    s3.s3_client.cache_clear()
    with pytest.raises(InputError, match=r"^s3://bucket/x: no AWS credentials here"):
        s3.get_object("s3://bucket/x")
    s3.s3_client.cache_clear()


def test_a_full_disk_ends_it_and_keeps_what_is_done(run: Run, homes: Path) -> None:
    class Full(DiskStorage):
        def write(self, name: str, data: bytes) -> None:
            if name.startswith("b/kitchen"):
                raise InputError("b/kitchen.parquet.jsonl: cannot be written (full)")
            super().write(name, data)

    sources = find_entries(["homes/**/*.parquet"])
    with pytest.raises(InputError, match="full"):
        events_of_archive(load(run.folder), sources, Full(Path("e")), DetectOptions())
    assert contents(Path("e")).keys() == {
        "detect.json", "a/hall.parquet.jsonl", "a/kitchen.parquet.jsonl",
    }  # fmt: skip


def test_damaged_notes_of_an_events_folder_are_refused(run: Run, homes: Path) -> None:
    Path("events").mkdir()
    for text in ("{", "[]", "{}"):
        Path("events/detect.json").write_text(text)
        code, _, said = saafe_command("detect", run.folder, "homes/a/*", "--out", "events")
        assert (code, "--out" in said) == (1, True)


WITHOUT_DASK = """
import sys
sys.modules["distributed"] = sys.modules["dask"] = None
import saafe, saafe.cli, saafe.machines
from saafe.cli.output import run

sys.exit(run(saafe.cli.saafe, sys.argv[1:]))
"""


def test_dask_is_imported_where_it_is_used(homes: Path) -> None:
    def python(*words: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            [sys.executable, "-W", "error", *words], capture_output=True, text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        )  # fmt: skip

    heavy = {"torch", "dask", "distributed", "boto3"}
    seen = f"import sys, saafe.machines, saafe.cli.detect; print({heavy} & set(sys.modules))"
    assert python("-c", seen).stdout == "set()\n"
    words = ("detect", "homes/a/*", "--out")
    assert python("-c", WITHOUT_DASK, *words, "e").returncode == 0
    refused = python("-c", WITHOUT_DASK, *words, "f", "--workers", "localhost:8786")
    assert refused.returncode == 1
    assert 'pip install "saafe[fleet]"' in refused.stderr
    assert "\n" not in refused.stderr.strip()


def test_the_exam_takes_workers_for_its_long_level_only(run: Run) -> None:
    assert run_words(command, ["exam", str(run.folder), "--workers", "2"]) == 1
