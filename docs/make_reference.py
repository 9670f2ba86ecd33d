"""Write docs/cli.md from the help texts: `make reference`. A test fails where it is stale."""

from collections.abc import Iterator
from pathlib import Path

import click

from saafe.cli import COMMANDS, saafe

# what follows an option, by the type of its value; a new type must be named here
VALUES = {
    "text": "TEXT", "integer": "N", "integer range": "N", "float": "X", "float range": "X",
    "path": "PATH",
}  # fmt: skip
PAGE = Path(__file__).parent / "cli.md"
HEAD = """\
# Commands

This page is made from the help texts (`make reference`). `saafe COMMAND --help` prints the same.

- Results go to standard output, all else to standard error. `--json` prints one JSON document.
- [terminal.md](terminal.md) is about exit codes, completion, widths and progress.
"""


def reference() -> str:
    """The whole page."""
    lines = [HEAD, "| command | does |", "|---|---|"]
    for name, (_, told) in COMMANDS.items():
        lines.append(f"| [`saafe {name}`](#saafe-{name}) | {told} |")
    for path, command in commands_of(saafe, ("saafe",)):
        lines += ["", *described(path, command)]
    return "\n".join(lines) + "\n"


def commands_of(
    group: click.Group, path: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command with the words that call it, a group before its own."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is None:
            continue
        yield (*path, name), command
        if isinstance(command, click.Group):
            yield from commands_of(command, (*path, name))


def described(path: tuple[str, ...], command: click.Command) -> list[str]:
    """The section of one command."""
    arguments = [one for one in command.params if isinstance(one, click.Argument)]
    options = [one for one in command.params if isinstance(one, click.Option)]
    usage = [*path, *(["[OPTIONS]"] if options else []), *map(argument_words, arguments)]
    usage += ["COMMAND ..."] if isinstance(command, click.Group) else []
    depth = "#" * min(len(path), 3)
    lines = [f"{depth} {' '.join(path)}", "", "```text", " ".join(usage), "```", ""]
    lines += paragraphs(command.help or "")
    if options:
        lines += ["| option | |", "|---|---|"]
        lines += [f"| {option_words(one)} | {option_help(one)} |" for one in options]
    return lines


def paragraphs(text: str) -> list[str]:
    """A help text; an example becomes code."""
    lines: list[str] = []
    for part in text.split("\n\n"):
        words = " ".join(part.split())
        if words.startswith("Example: "):
            lines += ["```shell", words.removeprefix("Example: "), "```", ""]
        elif words:
            lines += [words.replace("|", "\\|").replace("<", "\\<"), ""]
    return lines


def argument_words(one: click.Argument) -> str:
    """An argument as the usage shows it."""
    name = one.metavar or one.name.upper()
    many = "..." if one.nargs == -1 and not one.metavar else ""
    return f"{name}{many}" if one.required or one.metavar else f"[{name}]{many}"


def option_words(one: click.Option) -> str:
    """The names of an option and what follows them."""
    names = ", ".join(f"`{name}`" for name in (*one.opts, *one.secondary_opts))
    if one.is_flag:
        return names
    if isinstance(one.type, click.Choice):
        return f"{names} {' or '.join(f'`{choice}`' for choice in one.type.choices)}"
    value = one.metavar or VALUES[one.type.name]
    return f"{names} {value}".replace("|", "\\|")


def option_help(one: click.Option) -> str:
    """What an option does, and what it is where not given."""
    text = " ".join((one.help or "").split())
    if one.multiple:
        text += " May be given again."
    if one.show_default and one.default not in (None, ""):
        text += f" Default: {one.default}."
    return text.replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(reference())
