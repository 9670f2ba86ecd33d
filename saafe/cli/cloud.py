"""`saafe launch`, `jobs`, `watch`, `stop`, `cost`, `prices` and `emulator`."""

import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import click

from saafe.cli.output import print_json
from saafe.cli.tables import print_rows
from saafe.cloud import (
    ENDED,
    Cloud,
    JobPlan,
    Ledger,
    Machine,
    connect,
    describe_setup,
    estimate_job,
    estimate_lines,
    load_prices,
    offers,
    refresh,
    set_up,
    split_settings,
    start_job,
    status,
    stop,
    view,
)
from saafe.cloud.emulator import endpoint
from saafe.errors import InputError
from saafe.launching import finish, open_cloud, plan_job

out_option = click.option(
    "--out", default="runs", type=click.Path(path_type=Path), help="Folder of runs and ledger."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")


def say(line: str) -> None:
    """A line for people: stdout is for results."""
    click.echo(line, err=True)


@click.command("launch")
@click.argument("tier", required=False)
@click.option("--on", type=click.Choice(["here", "sagemaker", "emulator"]), default="here",
              show_default=True, help="Where to train.")  # fmt: skip
@click.option("--set", "settings", multiple=True, metavar="FIELD=VALUE", help="Of recipe or job.")
@click.option("--device", metavar="NAME|FILE", help="Train for one device; see saafe devices.")
@click.option("--max-cost", type=float, metavar="USD", help="Stop before it costs more.")
@click.option("--detach", is_flag=True, help="Do not watch; `saafe watch` comes back.")
@click.option("--setup", is_flag=True, help="Create role and bucket first, after showing them.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
@click.pass_context
def launch_command(
    context: click.Context, on: str, settings: tuple[str, ...], **options: Any
) -> None:
    """Train TIER here, on SageMaker, or on a rehearsal of it for $0.

    --set takes the recipe's fields, and those of the job. instance: types, tried in order, such as
    ml.g5.xlarge,ml.g6.xlarge. instances: how many machines. spot: true for cheaper machines that
    may be taken away meanwhile. region. name: of job and run; launching it again goes on with it.
    out: folder of runs and ledger.

    What it would cost, without an account: saafe prices --tier TIER --set instance=TYPE.

    Example: saafe launch ultra-fast --on emulator --yes
    """
    changes, machine = split_settings(settings)
    if on == "here":
        _launch_here(context, changes, machine, options)
        return
    cloud = open_cloud(on, machine.out, machine.region, say)
    if options["setup"]:
        say(describe_setup(cloud.aws))
        _ask("create these?", is_sure=options["yes"])
        set_up(cloud.aws)
        say("role and bucket are ready")
        if options["tier"] is None:
            say(f"now: saafe launch ultra-fast --on {on}")
            return
    if options["tier"] is None:
        raise InputError("launch what? name a tier: saafe launch ultra-fast --on sagemaker")
    entry = _launch(cloud, changes, machine, options)
    if options["detach"]:
        say(f"{entry['job']} runs without this shell; `saafe watch {entry['job']}` comes back")
        if options["as_json"]:
            print_json(view(entry), indent=1)
        return
    _watch(cloud, entry, options["as_json"])


def _launch(
    cloud: Cloud, changes: tuple[str, ...], machine: Machine, options: dict[str, Any]
) -> dict[str, Any]:
    """Show the estimate, ask, and make sure that the job exists."""
    plan = plan_job(cloud, options["tier"], changes, machine, options["device"])

    def confirm(expected: dict[str, Any]) -> None:
        say("\n".join(estimate_lines(expected, plan)))
        _ask("launch it?", is_sure=options["yes"])

    try:
        return start_job(
            cloud,
            plan,
            name=machine.name,
            max_cost_usd=options["max_cost"],
            confirm=confirm,
        )
    except KeyboardInterrupt:
        say("\ninterrupted while launching: the same command again goes on with the same job,")
        say("`saafe jobs` says whether it runs, and `saafe stop --latest` ends it")
        sys.exit(130)


def _launch_here(
    context: click.Context, changes: tuple[str, ...], machine: Machine, options: dict[str, Any]
) -> None:
    """The library call of `saafe train`."""
    given = [f"--set {name}" for name in machine.rented_only()]
    given += ["--max-cost"] if options["max_cost"] is not None else []
    given += [f"--{name}" for name in ("detach", "setup") if options[name]]
    if given:
        raise InputError(f"{given[0]} is for rented machines: add --on sagemaker or --on emulator")
    from saafe.cli.train import train_command

    words = [options["tier"]] if options["tier"] else []
    words += [word for change in changes for word in ("--set", change)]
    words += ["--out", str(machine.out)]
    words += ["--name", machine.name] if machine.name else []
    words += ["--device", options["device"]] if options["device"] else []
    words += ["--json"] if options["as_json"] else []
    with train_command.make_context("train", words, parent=context) as child:
        train_command.invoke(child)


def _ask(question: str, *, is_sure: bool) -> None:
    """Wait for the user's yes, unless that is given already.

    Raises:
        InputError: the answer was no, or there is nobody to ask.
    """
    if is_sure:
        return
    if not sys.stdin.isatty():
        raise InputError("there is no terminal to ask at: add --yes")
    if not click.confirm(question, err=True):
        raise InputError("nothing was done")


def _watch(cloud: Cloud, entry: dict[str, Any], as_json: bool) -> None:
    """Follow a job, verify what it left, and print the bill."""
    try:
        finish(cloud, entry)
    except KeyboardInterrupt:
        job, most = entry["job"], entry["estimate"]["most_usd"]
        say(f"\ndetached: {job} runs on (at most ${most:.2f}); `saafe watch {job}` comes back,")
        say(f"`saafe stop {job}` ends it")
        sys.exit(130)
    finally:
        if as_json:
            print_json(view(cloud.ledger.find(entry["job"])), indent=1)


def _jobs(out: Path) -> list[dict[str, Any]]:
    """All jobs as AWS has them now; as they were last seen where AWS cannot be asked."""
    opened = cache(open_cloud)

    def fresh(entry: dict[str, Any]) -> dict[str, Any]:
        if entry["status"] in ENDED:
            return entry
        try:
            return status(opened(entry["on"], out, entry["region"], say), entry)
        except InputError as error:
            say(f"{entry['job']} as last seen: {error}")
            return entry

    return [view(fresh(entry)) for entry in Ledger(out).entries()]


@click.command("jobs")
@out_option
@json_option
def jobs_command(out: Path, as_json: bool) -> None:
    """List launched jobs with status, billed seconds and dollars.

    Example: saafe jobs --json
    """
    rows = _jobs(out)
    if as_json:
        print_json(rows, indent=1)
        return
    columns = ["job", "on", "status", "instance", "loss", "accuracy", "billed_seconds", "cost_usd"]
    _print_table([{**row, **(row["metrics"] or {})} for row in rows], [*columns, "run"])


def of_one_job(command: Callable[..., None]) -> Callable[..., None]:
    """The parameters of a command that goes on with one job."""
    latest = click.option("--latest", is_flag=True, help="The job launched last.")
    return click.argument("job", required=False)(latest(out_option(json_option(command))))


def _find(job: str | None, latest: bool, out: Path) -> tuple[Cloud, dict[str, Any]]:
    if job is None and not latest:
        raise InputError("which job? name it, or add --latest; `saafe jobs` lists them")
    entry = Ledger(out).find(job) if job is not None else Ledger(out).latest()
    return open_cloud(entry["on"], out, entry["region"], say), entry


@click.command("watch")
@of_one_job
def watch_command(as_json: bool, **job: Any) -> None:
    """Follow a job to its end, fetch what it left, and print the bill.

    Example: saafe watch --latest
    """
    _watch(*_find(**job), as_json)


@click.command("stop")
@of_one_job
def stop_command(as_json: bool, **job: Any) -> None:
    """Stop a job; it saves what it has, which is then fetched.

    Example: saafe stop --latest
    """
    cloud, entry = _find(**job)
    entry = stop(cloud, entry)
    if entry.get("settled"):
        say(f"{entry['job']}: {entry['status']}")
        if as_json:
            print_json(view(entry), indent=1)
        return
    _watch(cloud, entry, as_json)


@click.command("cost")
@out_option
@json_option
def cost_command(out: Path, as_json: bool) -> None:
    """Add up what jobs were estimated to cost and what was billed.

    Example: saafe cost
    """
    rows = _jobs(out)
    paid = sum(row["cost_usd"] or 0.0 for row in rows if not row["rehearsal"])
    rehearsed = sum(row["cost_usd"] or 0.0 for row in rows if row["rehearsal"])
    unknown = [row["job"] for row in rows if row["cost_usd"] is None]
    totals = {"billed_usd": paid, "rehearsed_usd": rehearsed, "unknown": unknown}
    if as_json:
        print_json({**totals, "jobs": rows}, indent=1)
        return
    columns = ["job", "estimate_usd", "billed_seconds", "instances", "usd_per_hour", "cost_usd"]
    _print_table(rows, columns)
    click.echo(f"billed ${paid:.4f}; rehearsed for $0, would have cost ${rehearsed:.4f}")
    if unknown:
        click.echo(f"not billed yet, or not known: {', '.join(unknown)}")


@click.command("prices")
@click.argument("action", type=click.Choice(["show", "refresh"]), default="show")
@click.option("--tier", default="ultra-fast", show_default=True, help="What to train.")
@click.option("--set", "settings", multiple=True, metavar="FIELD=VALUE",
              help="Of recipe or job, as `saafe launch` takes them.")  # fmt: skip
@click.option("--region", default=None, help="AWS region; the shipped table is us-east-1's.")
@out_option
@json_option
def prices_command(action: str, tier: str, region: str | None, out: Path, **options: Any) -> None:
    """List instance prices, and estimate what a launch would take and cost; or refresh them.

    No account is needed, but for refresh. Time and cost of a type stand in its row where own jobs
    tell; the estimate below is the one that `saafe launch` shows before it asks.

    Example: saafe prices --tier standard --set instance=ml.g5.xlarge
    """
    changes, machine = split_settings(options["settings"])
    region = region or machine.region
    if action == "refresh":
        aws = connect(region)
        prices, changed = refresh(aws)
        for name, (old, new) in sorted(changed.items()):
            say(f"{name}: ${old:g} -> ${new:g} an hour")
        kept = "looked at, not kept (a rehearsal)" if aws.is_elsewhere else "kept"
        say(f"{len(prices.instances)} prices of {prices.region} {kept}, {len(changed)} changed")
    else:
        prices = load_prices(region or "us-east-1")
    plan = JobPlan(tier, changes, machine.instance, machine.instances, machine.spot)
    entries = Ledger(out if machine.out == Machine().out else machine.out).entries()
    rows, expected = offers(plan, prices, entries), None
    if plan.instance_types or all(name in prices.instances for name in plan.types):
        expected = estimate_job(plan, prices, entries)
    if options["as_json"]:
        table = {"region": prices.region, "as_of": prices.as_of, "tier": tier, "estimate": expected}
        print_json({**table, "instances": rows}, indent=1)
        return
    _print_table(rows, ["instance", "gpus", "gpu", "usd_per_hour", "expected_s", "cost_usd"])
    click.echo(f"{prices.region}, {prices.as_of}: {prices.note}")
    measured = [row for row in rows if row["cost_usd"] is not None]
    for row in measured:
        click.echo(f"{tier} on {row['instance']}: {row['basis']}")
    if len(measured) < len(rows):
        click.echo(f"-: not measured, no own job has trained {tier} there")
    if expected is None:
        click.echo(f"{plan.types[0]}, which {tier} takes, is not here: --set instance=TYPE")
        return
    click.echo("estimate of a launch (--set instance=TYPE takes another type):")
    click.echo("\n".join(f"  {line}" for line in estimate_lines(expected, plan)))
    click.echo(f"nothing was started; rehearse it for $0: saafe launch {tier} --on emulator")


@click.command("emulator")
@click.option("--state", default="runs/.emulator", show_default=True,
              type=click.Path(path_type=Path),
              help="Folder of its jobs, objects and prices.")  # fmt: skip
@click.option("--port", default=0, help="0 takes a free one.")
@click.option("--idle", type=float, help="End after so many seconds without calls and jobs.")
@click.option(
    "--interrupt", "interruptions", default=0, help="Interrupt each spot job so many times."
)
@click.option("--hurry", default=1.0, help="Seconds of job time in a second here.")
@click.option("--no-capacity", multiple=True, metavar="TYPE", help="Sold-out instance type.")
@json_option
def emulator_command(
    state: Path, port: int, idle: float | None, as_json: bool, **rehearsed: Any
) -> None:
    """Serve a local AWS endpoint that really runs training jobs, for `aws` and `saafe` alike.

    Example: saafe emulator --port 5001
    """
    endpoint.require_installed()

    def rehearse(emulator: Any) -> None:
        emulator.rehearse(rehearsed)
        if as_json:
            print_json({"url": emulator.url, "region": "us-east-1"}, indent=1)
        say("the endpoint is up; in another shell:")
        say(f"  export AWS_ENDPOINT_URL={emulator.url} AWS_DEFAULT_REGION=us-east-1")
        say("  export AWS_ACCESS_KEY_ID=emulator AWS_SECRET_ACCESS_KEY=emulator")

    endpoint.serve(state, port=port, idle_s=idle, rehearse=rehearse)


def _print_table(rows: list[dict[str, Any]], columns: list[str]) -> None:
    def cell(name: str, value: Any) -> Any:
        return f"{value:.4f}" if name.endswith("_usd") and value is not None else value

    print_rows(None, columns, ([cell(name, row.get(name)) for name in columns] for row in rows))
