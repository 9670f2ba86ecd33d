"""The command line: one library call a command.

Commands live in the modules of this folder and are imported when they are used, so that
`saafe --help` needs neither torch nor boto3.
"""

import gc
import importlib
import os
import sys

import click

from saafe import __version__
from saafe.cli.output import COMPLETION, Group, run
from saafe.errors import on_command_line

# command: (module that holds its function, COMMAND_command; help line)
COMMANDS = {
    "train": ("saafe.cli.train", "Train a detector and judge it."),
    "tune": ("saafe.cli.tune", "Tune a run on your own rooms."),
    "compare": ("saafe.cli.compare", "Compare tiers: time, cost, size, figures."),
    "evaluate": ("saafe.cli.evaluate", "Score a model on simulated and recorded streams."),
    "exam": ("saafe.cli.exam", "Examine a run in full; write its gate and report."),
    "simulate": ("saafe.cli.simulate", "Write labelled, simulated recordings."),
    "plot": ("saafe.cli.plot", "Draw a recording, a run or a device."),
    "devices": ("saafe.cli.devices", "Show, fit and compare the sensors that people have."),
    "data": ("saafe.cli.data", "Check recordings; convert published ones."),
    "detect": ("saafe.cli.detect", "Print alarms found in a recording or a stream."),
    "serve": ("saafe.cli.serving", "Watch many spaces; MQTT, HTTP and a web page."),
    "export": ("saafe.cli.export", "Write a run as ONNX or C, for where torch is not."),
    "launch": ("saafe.cli.cloud", "Train here or on rented GPUs."),
    "jobs": ("saafe.cli.cloud", "List launched jobs."),
    "watch": ("saafe.cli.cloud", "Follow a job, fetch its run, print the bill."),
    "stop": ("saafe.cli.cloud", "Stop a job; keep what it has."),
    "cost": ("saafe.cli.cloud", "Add up what jobs cost."),
    "prices": ("saafe.cli.cloud", "List what instances cost."),
    "emulator": ("saafe.cli.cloud", "Serve a local AWS to rehearse on."),
    "completion": ("saafe.cli.completion", "Print what completes commands in your shell."),
}


class LazyGroup(Group):
    """A group whose commands are imported only when they run."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order of a user's work."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command."""
        if cmd_name not in COMMANDS:
            return None
        module, _ = COMMANDS[cmd_name]
        return getattr(importlib.import_module(module), f"{cmd_name}_command")

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, row[1]) for name, row in COMMANDS.items()])


@click.group(cls=LazyGroup)
@click.version_option(__version__, prog_name="saafe")
def saafe() -> None:
    """Train, examine and run fire detectors for cheap indoor sensors.

    Example: saafe train ultra-fast
    """
    click.get_current_context().with_resource(on_command_line())


def main() -> None:
    """Run the command line; what a user can mend becomes one line and exit code 1."""
    if COMPLETION in os.environ:  # a shell asks for completion, which click answers
        saafe(prog_name="saafe", complete_var=COMPLETION)
    code = run(saafe, sys.argv[1:])
    gc.freeze()  # else the interpreter ends by looking through all that torch is, for seconds
    sys.exit(code)
