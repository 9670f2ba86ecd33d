"""How Sphinx builds the documentation: `make docs`."""

import re
from pathlib import Path

import saafe

project = "saafe"
author = "the saafe authors"
version = release = saafe.__version__
extensions = [
    "myst_nb",  # Markdown and notebooks
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",  # Google style docstrings
]
html_theme = "furo"
html_title = f"saafe {version}"
exclude_patterns = ["_build", "**/.ipynb_checkpoints"]
myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence"]
nb_execution_mode = "off"  # tests run the notebooks; the outputs that they keep are shown
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_preserve_defaults = True
napoleon_custom_sections = ["Source", "Valid", "Chosen"]
napoleon_use_rtype = False
nitpicky = False

REPOSITORY = "https://github.com/saafe/saafe/blob/main/"
ROOT = Path(__file__).parents[1]


def point_at_repository(_app, name: str, text: list[str]) -> None:
    """Links to files outside of docs/ go to the repository; the file must be there."""
    if "/" in name:  # a notebook's ../ is docs/
        return

    def there(found: re.Match) -> str:
        path = found["path"].partition("#")[0]
        if not (ROOT / path).exists():
            raise FileNotFoundError(f"docs/{name}.md links to {path}, which is not there")
        return f"]({REPOSITORY}{found['path']})"

    text[0] = re.sub(r"\]\(\.\./(?P<path>[^)]+)\)", there, text[0])


def setup(app) -> None:
    """Called by Sphinx."""
    app.connect("source-read", point_at_repository)
