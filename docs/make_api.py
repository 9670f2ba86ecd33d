"""Write docs/api.md from the docstrings: `make reference`. A test fails where it is stale."""

import ast
import importlib
import inspect
import re
import textwrap
from pathlib import Path

import saafe

PAGE = Path(__file__).parent / "api.md"
ROOMS = ("recordings", "readers", "detector", "own_rooms", "pictures", "export")
HEAD = """\
# Python

This page is made from the docstrings (`make reference`). Each name has its first words here. All of
them are printed by `help(saafe.load)`, and stand on [the full page](api-full.md) of the site. Tests
run the examples. `import saafe` needs neither torch nor boto3; a name is imported when it is used.
"""
ABOUT_ROOMS = """\
Each package has a door: what its `__init__` lists. Code outside of a package uses the door alone.
`import saafe.readers` comes before `saafe.readers.import_recording`."""


def page() -> str:
    """The whole page."""
    lines = [HEAD, "## saafe"]
    for name in saafe.__all__:
        lines += described(f"saafe.{name}", getattr(saafe, name))
    lines += ["", "## Rooms", "", ABOUT_ROOMS]
    for room in ROOMS:
        door = importlib.import_module(f"saafe.{room}")
        lines += ["", f"### saafe.{room}", "", first_words(door.__doc__)]
        for name in door.__all__:
            lines += described(f"saafe.{room}.{name}", getattr(door, name))
    return "\n".join(lines) + "\n"


def described(path: str, value: object) -> list[str]:
    """The signature of a function or a class, its first words and its methods'; [] of others."""
    if not inspect.isfunction(value) and not inspect.isclass(value):
        return []
    node = definition(value)
    made = re.sub(r"(?<!,) ", "\u00a0", f"{path}{signature(node)}")  # break behind commas alone
    wrapped = textwrap.wrap(made, 100, subsequent_indent="    ", break_long_words=False)
    code = [line.replace("\u00a0", " ") for line in wrapped]
    lines = ["", "```python", *code, "```", "", first_words(value.__doc__)]
    methods = [
        f"- `.{one.name}{signature(one, is_method=True)}`: {first_words(ast.get_docstring(one))}"
        for one in node.body
        if isinstance(one, ast.FunctionDef) and not one.name.startswith("_")
    ] if isinstance(node, ast.ClassDef) else []  # fmt: skip
    return lines + (["", *methods] if methods else [])


def definition(value: object) -> ast.ClassDef | ast.FunctionDef:
    """The source of a function or a class, as a tree: the same under every Python."""
    node = ast.parse(textwrap.dedent(inspect.getsource(value))).body[0]  # type: ignore[arg-type]
    assert isinstance(node, ast.ClassDef | ast.FunctionDef)
    return node


def signature(node: ast.ClassDef | ast.FunctionDef, *, is_method: bool = False) -> str:
    """What is given to a function or a class, and what comes back."""
    if isinstance(node, ast.ClassDef):
        made = [one for one in node.body if isinstance(one, ast.FunctionDef)]
        init = next((one for one in made if one.name == "__init__"), None)
        if init:
            return signature(init, is_method=True).removesuffix(" -> None")
        fields = [ast.unparse(one) for one in node.body if isinstance(one, ast.AnnAssign)]
        return f"({', '.join(fields)})" if fields else ""
    arguments = node.args
    if is_method and arguments.args and not decorated(node, "staticmethod"):
        arguments.args = arguments.args[1:]
    given = f"({ast.unparse(arguments)})"
    if decorated(node, "property"):
        given = ""
    return given + (f" -> {ast.unparse(node.returns)}" if node.returns else "")


def decorated(node: ast.FunctionDef, name: str) -> bool:
    """Whether a function is a property or the like."""
    return any(isinstance(one, ast.Name) and one.id == name for one in node.decorator_list)


def first_words(text: str | None) -> str:
    """The first paragraph of a docstring, on one line."""
    words = " ".join(inspect.cleandoc(text or "").partition("\n\n")[0].split())
    return words.replace("<", "\\<").replace("*", "\\*")


if __name__ == "__main__":
    PAGE.write_text(page())
