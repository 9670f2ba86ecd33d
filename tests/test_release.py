"""What a release is held to before it is built: its tag, CHANGELOG.md and CITATION.cff."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

import saafe

ROOT = Path(__file__).parents[1]
CHANGELOG = (
    "# Changelog\n\n## [Unreleased]\n\n## [0.2.0] - 2026-12-24\n\n- New.\n\n## [0.1.0] - x\n"
)
CITATION = "version: 0.2.0\ndate-released: 2026-12-24\n"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("release", ROOT / ".ci" / "release.py")
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


def source(folder: Path, **files: str) -> Path:
    """The files of a tag, right but for those that are given."""
    (folder / "saafe").mkdir()
    (folder / "saafe" / "__init__.py").write_text(files.get("init", '__version__ = "0.2.0"\n'))
    (folder / "CHANGELOG.md").write_text(files.get("changelog", CHANGELOG))
    (folder / "CITATION.cff").write_text(files.get("citation", CITATION))
    return folder


def test_a_right_tag_gives_its_notes(script: ModuleType, tmp_path: Path) -> None:
    assert script.version_of("v0.2.0") == "0.2.0"
    assert script.version_of("v1.0.0rc1") == "1.0.0rc1"
    assert script.check_source(source(tmp_path), "0.2.0") == "- New."


@pytest.mark.parametrize("tag", ["", "0.2.0", "v0.2", "v0.2.0-dirty", "release"])
def test_a_tag_that_is_no_version_is_refused(script: ModuleType, tag: str) -> None:
    with pytest.raises(script.ReleaseError, match="allowed: v and a version"):
        script.version_of(tag)


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"init": '__version__ = "0.1.0"\n'}, "__version__ is 0.1.0; wanted: 0.2.0"),
        ({"init": ""}, "__version__ is None"),
        ({"changelog": "## [Unreleased]\n\n- New.\n"}, "no line `## \\[0.2.0\\]"),
        ({"changelog": "## [0.2.0] - soon\n\n- New.\n"}, "no line `## \\[0.2.0\\]"),
        ({"changelog": "## [0.2.0] - 2026-12-24\n\n## [0.1.0] - x\n\n- Old.\n"}, "says nothing"),
        ({"citation": CITATION.replace("0.2.0", "0.1.0")}, "CITATION.cff's version is 0.1.0"),
        ({"citation": "version: 0.2.0\n"}, "date-released is None; wanted: 2026-12-24"),
        ({"citation": CITATION.replace("24", "23")}, "date-released is 2026-12-23"),
    ],
)
def test_what_says_another_version_is_refused(
    script: ModuleType, files: dict[str, str], said: str, tmp_path: Path
) -> None:
    with pytest.raises(script.ReleaseError, match=said) as raised:
        script.check_source(source(tmp_path, **files), "0.2.0")
    assert "\n" not in str(raised.value)


def test_what_there_is_to_cite_is_of_this_version(script: ModuleType) -> None:
    citation = (ROOT / "CITATION.cff").read_text()
    assert script.field_of(citation, "version") == saafe.__version__
    assert script.field_of(citation, "license") == "Apache-2.0"
