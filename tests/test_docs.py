"""The documentation: not stale, links lead somewhere, sentences are short, notebooks run."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import click
import numpy as np
import pytest

import saafe
from saafe import recipes
from saafe.detector import AlarmSettings, Scorer
from saafe.sensors import CHANNEL_NAMES

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.glob("*.md"))
WRITTEN = {"pm25": "PM2.5", "co2": "CO2", "co": "CO"}  # channels, as prose names them


def script(name: str) -> ModuleType:
    """A script of docs/, which is no package."""
    spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    sys.modules[name] = made  # its dataclasses look there
    spec.loader.exec_module(made)
    return made


def need(package: str) -> None:
    """Skip where the docs extra is not installed; CI has it, or fails."""
    if importlib.util.find_spec(package) is None:
        if os.environ.get("SAAFE_CI"):
            pytest.fail(f'{package} is missing: pip install -e ".[docs]"')
        pytest.skip(f'needs {package}: pip install "saafe[docs]"')


def test_the_command_reference_is_not_stale() -> None:
    made = script("make_reference").reference()
    assert (DOCS / "cli.md").read_text() == made, "run `make reference`"
    assert "saafe devices compare" in made, "commands of groups are there"


def test_every_option_is_told_once_and_its_value_rightly() -> None:
    """`--port` stood with PATH, `--state` without a word, and `--drop` was given again twice."""
    made = script("make_reference")
    for path, command in made.commands_of(made.saafe, ("saafe",)):
        for one in command.params:
            if isinstance(one, click.Option):
                place = " ".join([*path, *one.opts])
                told, value = made.option_help(one), made.option_words(one).rpartition(" ")[2]
                assert (one.help or "").strip(), place
                assert len(re.findall("again|any number of times|repeat", told)) <= 1, place
                if value == "PATH":
                    assert isinstance(one.type, click.Path), place
                if isinstance(one.type, click.IntRange) and not one.metavar:
                    assert value == "N", place


def test_the_python_reference_is_not_stale() -> None:
    made = script("make_api")
    text = (DOCS / "api.md").read_text()
    assert text == made.page(), "run `make reference`"
    for name in saafe.__all__:
        if callable(getattr(saafe, name)):
            assert re.search(rf"^saafe\.{name}\b", text, re.MULTILINE), name
    full = (DOCS / "api-full.md").read_text()
    assert set(re.findall(r"auto\w+:: saafe\.(\w+)$", full, re.MULTILINE)) == {
        *saafe.__all__, *made.ROOMS
    } - {"__version__"}  # fmt: skip


def test_the_licences_are_not_stale() -> None:
    need("packaging")
    from packaging.specifiers import SpecifierSet

    licences = script("make_licences")
    there = licences.listed((DOCS / "licences.md").read_text())
    wanted = {name: one.specifier for name, (one, _) in licences.direct().items()}
    assert {name: SpecifierSet(span) for name, (span, _) in there.items()} == wanted, (
        "run `make licences`"
    )
    assert not [name for name, (_, said) in there.items() if "not " in said]


@pytest.mark.parametrize("page", [ROOT / "README.md", *PAGES], ids=lambda page: page.name)
def test_links_lead_to_files(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_every_page_is_in_the_contents() -> None:
    index = (DOCS / "index.md").read_text()
    listed = re.findall(r"^([\w/-]+)$", index, re.MULTILINE)
    books = [f"notebooks/{book.stem}" for book in sorted((DOCS / "notebooks").glob("*.ipynb"))]
    assert sorted(listed) == sorted([page.stem for page in PAGES if page.stem != "index"] + books)


# --- prose ------------------------------------------------------------------------------------


def test_sentences_are_short() -> None:
    prose = script("prose")
    found = {name: prose.measured(some) for name, some in prose.texts().items()}
    long = {name: figures for name, figures in found.items() if not prose.keeps_the_aim(figures)}
    assert not long, "run `python docs/prose.py`, and split the longest"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("One two three. Four five six seven.", [3, 4]),
        ("It ends at 1.5 K after three minutes.", [8]),
        ("A long name, e.g. Home Assistant, is one.", [8]),
        ("Run `saafe train --set a=b` and wait here.", [5]),
        ("See [the whole exam](exam.md) for more of it.", [8]),
        ("# A heading is no sentence at all\n\nBut this here is.", [4]),
        ("| a table | is no sentence either |\n", []),
        ("```shell\nsaafe is code that nobody reads aloud\n```\n", []),
        ("    saafe is code that nobody reads aloud\n", []),
        ("- First item of a list\n- second item of a list\n", [5, 5]),
        ("A line that\nruns on here.", [6]),
    ],
)
def test_prose_counts_words(text: str, words: list[int]) -> None:
    assert [one.words for one in script("prose").sentences(text, "x")] == words


def test_prose_finds_what_is_too_long() -> None:
    prose = script("prose")
    short, long = " ".join(["word"] * 10) + ".", " ".join(["word"] * 40) + "."
    assert prose.keeps_the_aim(prose.measured(prose.sentences("\n\n".join([short] * 9), "x")))
    many = "\n\n".join([short] * 7 + [long] * 2)
    assert not prose.keeps_the_aim(prose.measured(prose.sentences(many, "x")))
    twenty = " ".join(["word"] * 20) + "."
    assert not prose.keeps_the_aim(prose.measured(prose.sentences(twenty, "x")))


def test_a_thing_has_one_word() -> None:
    assert not script("words").every_word_found()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("Two Composites, and more", ['x:1: "Composites": say superposed fire']),
        ("fine\nits sampling rate", ['x:2: "sampling rate": say period']),
        ("`composites` is a key", []),
        ("it composes, and is recalled", []),
    ],
)
def test_words_of_other_names_are_found(text: str, says: list[str]) -> None:
    assert script("words").words_found(text, "x") == says


def test_the_nomenclature_has_every_channel_tier_event_and_cause() -> None:
    page = (DOCS / "nomenclature.md").read_text()
    said = [*recipes.TIERS, "alarm", "clear", "warning", "fault", "restored",
            "model", "heat", "rate_of_rise", "co_dose"]  # fmt: skip
    for word in [*said, *(WRITTEN.get(name, name) for name in CHANNEL_NAMES)]:
        assert re.search(rf"\b{re.escape(word)}\b", page), word


def test_the_detectors_page_has_the_keys_and_causes_of_every_event() -> None:
    page = (DOCS / "detector.md").read_text()
    rows = [line.split("|")[1:3] for line in page.splitlines() if line.startswith("| `")]
    told = {word: set(re.findall("`([a-z_]+)`", keys))
            for words, keys in rows for word in re.findall("`([a-z]+)`", words)}  # fmt: skip
    detector = saafe.Detector(Scorer(lambda windows: np.zeros(len(windows)), AlarmSettings()))
    events = []
    for k, degrees in enumerate([21.0, 70.0, 70.0, 70.0, np.nan, 70.0]):
        reading = {} if np.isnan(degrees) else {"temperature": degrees}
        refused = {} if reading else {"temperature": "unavailable: no reading"}
        events += detector.update(10.0 * k, "A", reading, refused=refused)
    events += detector.acknowledge()
    assert {"alarm", "clear", "fault", "restored"} == {event["event"] for event in events}
    for event in events:
        words = event.keys() - {"event", "time_s", "sensor"}
        words |= {event[key] for key in words & {"cause"}}
        assert words <= told[event["event"]], event


# --- the site and the notebooks ---------------------------------------------------------------


@pytest.mark.slow
def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    for package in ("sphinx", "myst_nb", "furo"):
        need(package)
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", "--fail-on-warning", "--keep-going", "-q", "-b", "html",
         DOCS, tmp_path / "site"],
        capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "saafe.load" in (tmp_path / "site" / "api.html").read_text()
    page = (tmp_path / "site" / "api-full.html").read_text()
    assert "saafe.load" in page
    assert "Args" not in re.sub(r"<[^>]+>", "", page), "napoleon turns them into parameters"


def test_notebooks_show_what_the_packaged_model_says() -> None:
    book = (DOCS / "notebooks" / "simulate-and-look.ipynb").read_text()
    shown = re.findall(r'"model (\w{12})\\n"', book)
    assert shown == [saafe.load().identity[:12]], "run `make notebooks`"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["simulate-and-look", "train-and-examine"])
def test_notebooks_run(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for package in ("nbclient", "ipykernel"):
        need(package)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    code = "\n".join([
        "import sys; sys.path.insert(0, sys.argv[1])",
        "from pathlib import Path",
        "import run_notebooks",
        "run_notebooks.run_notebook(run_notebooks.FOLDER / sys.argv[2])",
    ])  # fmt: skip
    done = subprocess.run(  # a process of its own: kernels leave loops and sockets behind
        [sys.executable, "-c", code, DOCS, f"{name}.ipynb"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
