"""What instances cost: a shipped, dated table, refreshed from the Price List API."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

from saafe.cloud.aws import Aws
from saafe.errors import InputError
from saafe.files import cache_folder, writable_folder, write_json

SHIPPED_REGION = "us-east-1"
# Processors and NVIDIA GPUs: what AWS's PyTorch images run on; not Trainium.
FAMILY = re.compile(r"ml\.[cmrtgp]\d")
HOURS_A_MONTH = 730.0


@dataclass(frozen=True)
class Instance:
    """One instance type as SageMaker rents it for training."""

    name: str
    usd_per_hour: float
    vcpu: int
    ram_gib: float
    gpus: int
    gpu: str | None
    gpu_mem_gb: float
    local_nvme: bool


@dataclass(frozen=True)
class Prices:
    """On-demand training prices of one region at one date."""

    region: str
    as_of: str
    note: str
    instances: dict[str, Instance]
    retired: dict[str, dict[str, Any]]
    storage: dict[str, float]

    def instance(self, name: str) -> Instance:
        """The row of one type.

        Raises:
            InputError: the type is retired, or not in the table.
        """
        if name in self.retired:
            gpu = self.retired[name]["gpu"]
            raise InputError(
                f"{name} ({gpu}) is retired, SageMaker no longer rents it: use ml.g5.12xlarge"
                " (see `saafe prices`)"
            )
        if name not in self.instances:
            raise InputError(
                f"no price for {name} in {self.region} (table of {self.as_of}): pick one of"
                f" `saafe prices`, or run `saafe prices refresh --region {self.region}`"
            )
        return self.instances[name]


def load_prices(region: str = SHIPPED_REGION, folder: Path | None = None) -> Prices:
    """The refreshed table of a region, or the shipped one.

    Raises:
        InputError: there is neither, or the refreshed file is damaged.
    """
    refreshed = (folder or cache_folder()) / f"prices_{region}.json"
    if refreshed.exists():
        try:
            return _parse(json.loads(refreshed.read_text()))
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{refreshed} is damaged: delete it, and run this again") from error
    if region != SHIPPED_REGION:
        raise InputError(f"no prices for {region}: run `saafe prices refresh --region {region}`")
    return _parse(_shipped())


def refresh(aws: Aws, folder: Path | None = None) -> tuple[Prices, dict[str, tuple[float, float]]]:
    """Ask the Price List API, keep the table, and return it with what changed (old, new).

    A rehearsal's prices are no prices: from another endpoint they are kept in a named folder only.
    """
    table = {**_shipped(), "region": aws.region}
    table["as_of"] = datetime.now(UTC).date().isoformat()
    table["note"] = "AWS Price List API, pricing.get_products"
    known = table["instances"]
    try:
        before = load_prices(aws.region, folder).instances
    except InputError:  # none were, or they are damaged
        before = {}
    rows = [row for row in _training_rows(aws) if FAMILY.match(row["name"])]
    table["instances"] = {row["name"]: _row(row, known) for row in rows}
    if not table["instances"]:
        raise InputError(f"the Price List API knows no training prices in {aws.region}: check it")
    if folder is not None or not aws.is_elsewhere:
        kept_in = writable_folder(folder or cache_folder(), "set XDG_CACHE_HOME to another folder")
        write_json(kept_in / f"prices_{aws.region}.json", table, mend="free some space")
    prices = _parse(table)
    pairs = {
        name: (before[name].usd_per_hour, row.usd_per_hour)
        for name, row in prices.instances.items()
        if name in before
    }
    return prices, {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def _training_rows(aws: Aws) -> Iterator[dict[str, Any]]:
    """On-demand rows of training instances; one-off plan fees are other components."""
    filters = [
        {"Type": "TERM_MATCH", "Field": "regionCode", "Value": aws.region},
        {"Type": "TERM_MATCH", "Field": "component", "Value": "Training"},
    ]
    asked = {"ServiceCode": "AmazonSageMaker", "Filters": filters}
    for page in aws.pages("pricing", "get_products", **asked):
        for item in page["PriceList"]:
            product = json.loads(item)
            attributes = product["product"]["attributes"]
            name = attributes.get("instanceName", "")
            if attributes.get("component") != "Training" or not name.startswith("ml."):
                continue
            for term in product["terms"].get("OnDemand", {}).values():
                for dimension in term["priceDimensions"].values():
                    usd = float(dimension["pricePerUnit"].get("USD", 0.0))
                    if usd > 0.0:
                        yield {**attributes, "name": name, "usd_per_hour": usd}


def _row(row: dict[str, Any], known: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """One table row; what the Price List does not tell is kept from the shipped table."""
    has_gpu = row["name"].startswith(("ml.g", "ml.p"))  # how many, the container will find
    gpu = {"gpus": 1, "gpu": "unknown"} if has_gpu else {"gpus": 0, "gpu": None}
    kept = known.get(row["name"], {**gpu, "gpu_mem_gb": 0, "local_nvme": False})
    return {
        **kept,
        "usd_per_hour": row["usd_per_hour"],
        "vcpu": int(row.get("vCpu") or kept.get("vcpu", 0)),
        "ram_gib": kept.get("ram_gib", 0),
    }


def _shipped() -> dict[str, Any]:
    path = files("saafe.cloud") / f"prices_{SHIPPED_REGION}.json"
    return json.loads(path.read_text())


def _parse(table: dict[str, Any]) -> Prices:
    instances = {name: Instance(name=name, **row) for name, row in table["instances"].items()}
    kept = {field.name: table[field.name] for field in fields(Prices)}
    return Prices(**{**kept, "instances": instances})
