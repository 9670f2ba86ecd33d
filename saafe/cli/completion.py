"""`saafe completion`."""

import click
from click.shell_completion import get_completion_class

from saafe.cli.output import COMPLETION, print_json
from saafe.errors import InputError

SHELLS = ("bash", "zsh", "fish")


@click.command("completion")
@click.argument("shell", type=click.Choice(SHELLS))
@click.option("--json", "as_json", is_flag=True, help="Print it in a JSON document.")
def completion_command(shell: str, as_json: bool) -> None:
    """Print a script that completes commands, options and files in SHELL.

    bash: eval "$(saafe completion bash)" in ~/.bashrc. zsh: the same in ~/.zshrc. fish: write it to
    ~/.config/fish/completions/saafe.fish.

    Example: saafe completion bash
    """
    script = completion_script(shell)
    if as_json:
        print_json({"shell": shell, "script": script})
    else:
        click.echo(script)


def completion_script(shell: str) -> str:
    """Click's script for a shell; the command that it asks is `saafe` itself."""
    completes = get_completion_class(shell)
    if completes is None:
        raise InputError(f"{shell}: allowed are {', '.join(SHELLS)}")
    command = click.get_current_context().find_root().command
    one = completes(command, {}, "saafe", COMPLETION)
    return one.source_template % one.source_vars()  # .source() would run bash to ask its version
