"""Train on rented machines, or rehearse it: from a tier to a verified run and its bill."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from saafe.cloud import (
    Cloud,
    JobPlan,
    Ledger,
    Machine,
    Pace,
    Screen,
    bill_lines,
    connect,
    follow,
    split_settings,
    start_job,
    verify_run,
    view,
)
from saafe.cloud.emulator import endpoint
from saafe.errors import InputError, check_type


def launch(
    tier: str,
    *,
    on: str = "emulator",
    settings: Mapping[str, object] | None = None,
    device: str | None = None,
    max_cost_usd: float | None = None,
    on_message: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Train a tier on SageMaker, or on a rehearsal of it for $0, and fetch what it left.

    Args:
        tier: its name.
        on: "sagemaker" or "emulator".
        settings: fields of the recipe and of the job, as `saafe launch --set` takes them.
        device: a name of the catalogue or the path of a device file to train for.
        max_cost_usd: enforced through the job's longest run time. [USD]
        on_message: takes a line for people.

    Returns:
        The job as `saafe jobs --json` shows it; `run` names its folder under runs/.

    Raises:
        InputError: the job failed, or anything that the user can mend.

    Example:
        >>> import saafe
        >>> tiny = {"epochs": 1, "windows": 256, "batch": 64, "streams": 32, "width": 16}
        >>> job = saafe.launch("tiny", settings=tiny, on_message=lambda _: None)
        >>> saafe.load(f"runs/{job['run']}").recipe.epochs
        1
    """
    check_type(tier, str, "tier: takes the name of a tier")
    check_type(settings, Mapping | None, 'settings: takes {"epochs": 2}')
    texts = tuple(f"{name}={value}" for name, value in (settings or {}).items())
    changes, machine = split_settings(texts)
    cloud = open_cloud(on, machine.out, machine.region, on_message)
    plan = plan_job(cloud, tier, changes, machine, device)
    entry = start_job(cloud, plan, name=machine.name, max_cost_usd=max_cost_usd)
    return view(finish(cloud, entry))


def open_cloud(on: str, out: Path, region: str | None, on_message: Callable[[str], None]) -> Cloud:
    """The account that jobs run on.

    Raises:
        InputError: there is none, or it cannot be reached.
    """
    if on not in ("sagemaker", "emulator"):
        raise InputError(f"on = {on!r}: choose from sagemaker, emulator")
    aws = endpoint.find_or_start(out / ".emulator", region) if on == "emulator" else connect(region)
    return Cloud(aws, Ledger(out), on, on_message)


def plan_job(
    cloud: Cloud, tier: str, changes: tuple[str, ...], machine: Machine, device: str | None = None
) -> JobPlan:
    """The plan of a job; a rehearsal trains on as many threads as this process may use.

    Raises:
        InputError: the device is none, or there is no such machine.
    """
    threads = os.environ.get("OMP_NUM_THREADS", "") if cloud.on == "emulator" else ""
    return JobPlan(
        tier=tier,
        settings=changes,
        instance_types=machine.instance,
        instances=machine.instances,
        spot=machine.spot,
        threads=int(threads) if threads.isdigit() else None,
        device=device_text(device),
    )


def device_text(device: str | None) -> str:
    """A device's whole table, as the job takes it; none for instruments of any kind."""
    if device is None:
        return ""
    from saafe.simulator import devices

    return "" if device == devices.ANYTHING else devices.to_toml(devices.load_device(device))


def finish(cloud: Cloud, entry: dict[str, Any]) -> dict[str, Any]:
    """Follow a job to its end, verify what it left, and say what it cost.

    Raises:
        InputError: it failed.
    """
    pace = Pace(poll_s=0.3 if cloud.aws.is_elsewhere else 5.0)
    entry = follow(cloud, entry, screen=Screen(), pace=pace)
    if entry.get("run"):
        found = verify_run(cloud.ledger.runs / entry["run"])
        entry = cloud.ledger.update(entry, verified=found, settled=True)
    for line in bill_lines(entry, cloud.ledger.runs):
        cloud.on_message(line)
    if entry["status"] == "Failed":
        reason = entry["failure"].strip() or "SageMaker gives no reason"
        raise InputError(f"{entry['job']} failed: {reason.splitlines()[0]}")
    return entry
