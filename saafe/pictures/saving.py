"""A picture, and its file."""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from saafe.errors import InputError, as_given
from saafe.exam import plots
from saafe.files import write_atomically

PICTURE_SUFFIXES = (".png", ".svg")
DOTS_PER_INCH, SCREEN_DOTS_PER_INCH = 150, 80


@dataclass(frozen=True)
class Picture:
    """What was drawn.

    Attributes:
        kind: "recording", "run" or "device".
        title: one line.
        panels: what each part shows, from top to bottom.
        figure: of matplotlib.
    """

    kind: str
    title: str
    panels: tuple[str, ...]
    figure: Figure

    def _repr_png_(self) -> bytes:  # what a notebook shows
        return png_of(self, SCREEN_DOTS_PER_INCH)

    def to_dict(self) -> dict[str, Any]:
        """What `saafe plot --json` prints, without the file."""
        return {"kind": self.kind, "title": self.title, "panels": list(self.panels)}


def check_picture_path(path: Path | str) -> None:
    """Refuse a path that names no picture, before anything is drawn.

    Raises:
        InputError: its suffix is none of `PICTURE_SUFFIXES`, or its folder is not there.
    """
    path, given = Path(path), as_given("--out", "path")
    if path.suffix.lower() not in PICTURE_SUFFIXES:
        raise InputError(f"{given} {path}: a picture's name ends in .png or .svg")
    if not path.parent.is_dir():
        raise InputError(f"{given} {path}: there is no folder {path.parent}; make it first")


def save_picture(picture: Picture, path: Path | str) -> None:
    """Write a picture as PNG or SVG, as its suffix says; whole or not at all.

    Raises:
        InputError: the suffix is neither, or the file cannot be written.
    """
    check_picture_path(path)
    path = Path(path)
    if path.suffix.lower() == ".svg":
        data = plots.to_svg(picture.figure)
    else:
        data = png_of(picture, DOTS_PER_INCH)
    write_atomically(path, data)


def png_of(picture: Picture, dots_per_inch: int) -> bytes:
    """A picture as a PNG file."""
    drawn = io.BytesIO()
    with matplotlib.rc_context(plots.STYLE):
        picture.figure.savefig(drawn, format="png", dpi=dots_per_inch)
    return drawn.getvalue()
