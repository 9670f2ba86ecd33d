"""Find words that stand for what has a word of its own: `python docs/words.py`.

One word a thing, as docs/nomenclature.md has them: here are those that were once used, or that
other trades use, each with the plain one. README, docs/ and the help texts are searched, code in
backticks is not. Exits 1 where one is found.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
PLAIN = {  # a pattern, in any case: the word to take
    # the house's own, once
    r"composites?": "superposed fire",
    r"overlays?": "superposed fire",
    r"mixed-in fires?": "superposed fire",
    r"safety floors?": "fixed rules",
    r"sittings?": "exam",
    r"dice": "draws",
    r"faulting": "injected faults",
    r"wish(es)?": "option",
    r"loud logs?": "logs",
    # of other trades
    r"false positives?": "false alarm",
    r"true positives?|hit rates?|recall": "detection rate, or fires found in time",
    r"ground truths?": "label",
    r"inference": "scoring, or detection",
    r"datasets?": "recordings, or annotated set",
    r"data points?": "reading",
    r"smoke detectors?": "smoke alarm, or detector",
    r"sampling (rates?|intervals?|periods?)": "period",
    r"log odds": "log-odds",
    r"director(y|ies)": "folder",
    r"flags?": "option",
    r"apartments?": "flat",
    r"hyperparameters?": "field of the recipe",
    r"utili[sz]e[sd]?|leverage[sd]?": "use",
}


def words_found(text: str, place: str) -> list[str]:
    """A line for each word of `PLAIN` in a text: where it stands, and what to take."""
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        plain = re.sub(r"`[^`]*`", "", line)
        for pattern, word in PLAIN.items():
            found += [
                f'{place}:{number}: "{one[0]}": say {word}'
                for one in re.finditer(rf"\b({pattern})\b", plain, re.IGNORECASE)
            ]
    return found


def every_word_found() -> list[str]:
    """The same of README and every page; docs/cli.md holds the help texts, api.md docstrings."""
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    return [
        line
        for page in pages
        if page.name != "licences.md"  # whose words are others'
        for line in words_found(page.read_text(), str(page.relative_to(ROOT)))
    ]


if __name__ == "__main__":
    lines = every_word_found()
    print("\n".join(lines) or "no word of another name")
    sys.exit(1 if lines else 0)
