"""Measure sentences of README, docs/ and the help texts: `python docs/prose.py`.

The aim: the median is under 20 words, and 90 % are under 35. Code, tables and headings are not
prose. Exits 1 where a text misses the aim.
"""

import re
import statistics
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

MEDIAN_WORDS, LONG_WORDS, LONG_SHARE = 20, 35, 0.10
LISTED = 10
ROOT = Path(__file__).parents[1]
GENERATED = ("api.md", "cli.md", "licences.md")
# a sentence ends with . ! or ? before a space; not after one of these, nor within a number
SHORTENED = r"(?<!\be\.g)(?<!\bi\.e)(?<!\bvs)(?<!\bno)(?<!\bFig)(?<!\b[A-Z])"
END = re.compile(SHORTENED + r"[.!?][\"')*]*\s+(?=[\"'(*`\[]*[A-Z0-9`])")
FENCE = re.compile(r"^(`{3,}|:{3,}).*?^\1\s*$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Sentence:
    """A sentence and where it stands."""

    text: str
    place: str

    @property
    def words(self) -> int:
        """How many words it has: code in backticks counts as one, a link as its text."""
        return len(self.text.split())


def sentences(text: str, place: str) -> list[Sentence]:
    """The sentences of a Markdown text."""
    found = []
    for paragraph in paragraphs(FENCE.sub("\n\n", text)):
        plain = re.sub(r"`[^`]*`", "CODE", paragraph)
        plain = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", plain)
        found += [Sentence(one.strip(), place) for one in END.split(plain + " ") if one.strip()]
    return [one for one in found if one.words > 2]


def paragraphs(text: str) -> Iterator[str]:
    """Paragraphs and items of lists, each on one line; no code, table, heading or comment."""
    part: list[str] = []
    for line in [*text.splitlines(), ""]:
        is_item = re.match(r"\s*([-*]|\d+\.) ", line) is not None
        is_code = line.startswith("    ") and not part
        is_other = not line.strip() or line.startswith(("#", "|", "<", "    |")) or is_code
        if (is_item or is_other) and part:
            yield " ".join(part)
            part = []
        if not is_other:
            part.append(re.sub(r"^\s*([-*]|\d+\.) ", "", line).strip())
    if part:
        yield " ".join(part)


def measured(found: list[Sentence]) -> dict[str, float]:
    """The figures of some sentences."""
    words = [one.words for one in found]
    return {
        "sentences": len(words),
        "median": statistics.median(words),
        "long_share": sum(count >= LONG_WORDS for count in words) / len(words),
    }


def keeps_the_aim(figures: dict[str, float]) -> bool:
    """Whether sentences are short enough."""
    return figures["median"] < MEDIAN_WORDS and figures["long_share"] <= LONG_SHARE


def texts() -> dict[str, list[Sentence]]:
    """The sentences of every text that people wrote, by file."""
    pages = [page for page in sorted((ROOT / "docs").glob("*.md")) if page.name not in GENERATED]
    found = {
        str(page.relative_to(ROOT)): sentences(page.read_text(), str(page.relative_to(ROOT)))
        for page in [ROOT / "README.md", *pages]
    }
    return {name: some for name, some in found.items() if some} | {"help texts": help_sentences()}


def help_sentences() -> list[Sentence]:
    """The sentences of the help texts, as docs/cli.md shows them."""
    page = (ROOT / "docs" / "cli.md").read_text().partition("\n## ")[2]
    found = sentences(page, "help texts")
    for row in re.findall(r"^\| `-[^|]*\|(.*)\|$", page, re.MULTILINE):
        found += sentences(row.strip(), "help texts")
    return found


def main() -> int:
    """Print a line a text and the longest sentences; 1 where a text misses the aim."""
    found, failed = texts(), 0
    for name, some in found.items():
        figures = measured(some)
        bad = not keeps_the_aim(figures)
        failed += bad
        print(f"{name:26} {figures['sentences']:4.0f} sentences, median {figures['median']:4.1f}, "
              f"{100 * figures['long_share']:4.1f} % of {LONG_WORDS} words or more"
              f"{'  TOO LONG' if bad else ''}")  # fmt: skip
    every = sorted((one for some in found.values() for one in some), key=lambda one: -one.words)
    print(f"\nthe {LISTED} longest:")
    for one in every[:LISTED]:
        print(f"{one.words} words, {one.place}: {one.text}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
