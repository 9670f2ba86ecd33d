"""What is asked of SageMaker: a plan, and the CreateTrainingJob request it becomes."""

import hashlib
import json
import re
from dataclasses import asdict, dataclass
from typing import Any

from saafe.cloud.prices import Instance
from saafe.errors import InputError, as_given

ROLE = "saafe-training"
# First choice and what to fall back on, in order. Four GPUs for ultra-fast are the promise of the
# tier; `saafe prices` says what one GPU would cost and take.
INSTANCES = {
    "ultra-fast": ("ml.g5.12xlarge", "ml.g6.12xlarge", "ml.g4dn.12xlarge"),
    "standard": ("ml.g5.2xlarge", "ml.g6.2xlarge", "ml.g4dn.2xlarge"),
}
MOST_INSTANCE_TYPES = 5  # botocore: InstancePreferences, each type once
# a job's run time by the default quota (from memory, not checked); the API allows 28 days
LONGEST_RUN_S = 432_000
VOLUME_GB = 30  # image, code and run fit; types with local disks ignore it, and do not charge
WAIT_FOR_SPOT_S = 3600

IMAGE_TAG = {
    True: "2.13-cu133-amzn2023-sagemaker",  # torch as here; Python 3.12; patched until 2027-07
    False: "2.13-cpu-amzn2023-sagemaker",
}
IMAGE_ACCOUNT = "763104351884"
# Regions whose images another account publishes (sagemaker-core 2.27, pytorch-amzn2023.json).
IMAGE_ACCOUNTS = {
    "af-south-1": "626614931356",
    "ap-east-1": "871362719292",
    "ap-east-2": "975050140332",
    "ap-northeast-3": "364406365360",
    "ap-south-2": "772153158452",
    "ap-southeast-3": "907027046896",
    "ap-southeast-4": "457447274322",
    "ap-southeast-5": "550225433462",
    "ap-southeast-6": "633930458069",
    "ap-southeast-7": "590183813437",
    "ca-west-1": "204538143572",
    "eu-central-2": "380420809688",
    "eu-south-1": "692866216735",
    "eu-south-2": "503227376785",
    "il-central-1": "780543022126",
    "me-central-1": "914824155844",
    "me-south-1": "217643126080",
    "me-west-1": "124382933778",
    "mx-central-1": "637423239942",
    "us-gov-east-1": "446045086412",
    "us-gov-west-1": "442386744353",
}

# The one set of expressions: SageMaker draws these metrics, and `saafe watch` reads them.
# A line is `epoch 3/25 step 141/1175 loss 0.4312 accuracy 0.812 samples/s 1834 left 00:41`.
METRIC_PATTERNS = {
    "epoch": r"epoch (\d+)/\d+",
    "loss": r"loss ([-+0-9.eE]+)",
    "accuracy": r"accuracy ([0-9.]+)",
    "samples_per_s": r"samples/s ([0-9.]+)",
}
TIME_LEFT = re.compile(r"left ((?:\d+:)?\d+:\d+)")


def setting(name: str, value: str) -> str:
    """How whoever reads an error changes a field of the recipe or of the job."""
    return as_given(f"--set {name}={value}", f'settings={{"{name}": "{value}"}}')


@dataclass(frozen=True)
class JobPlan:
    """One launch, as asked for and settled; plain values only, so that it can be kept."""

    tier: str
    settings: tuple[str, ...] = ()
    instance_types: tuple[str, ...] = ()
    instances: int = 1
    spot: bool = False
    threads: int | None = None
    device: str = ""  # text of the device file to train for, which travels with the code

    def __post_init__(self):
        """Refuse what SageMaker would refuse, before anything is uploaded."""
        if not 1 <= self.instances <= 64:
            raise InputError(f"instances = {self.instances}: allowed is 1 to 64")
        if len(self.instance_types) > MOST_INSTANCE_TYPES:
            raise InputError(f"instance: at most {MOST_INSTANCE_TYPES} types can be tried")
        if len(set(self.instance_types)) < len(self.instance_types):
            raise InputError(f"instance: each type once, not {', '.join(self.instance_types)}")
        for change in self.settings:
            if len(change) > 256:
                raise InputError(
                    f"{as_given('--set', 'settings:')} {change[:40]}...:"
                    " SageMaker takes at most 256 characters"
                    f" an argument, these are {len(change)}"
                )

    @property
    def types(self) -> tuple[str, ...]:
        """Instance types in the order of preference."""
        return self.instance_types or INSTANCES.get(self.tier, INSTANCES["standard"])

    def fingerprint(self, code_sha256: str, where: str) -> str:
        """Equal for equal requests: what tells a second launch of the same thing."""
        wanted = json.dumps([asdict(self), list(self.types), code_sha256, where], sort_keys=True)
        return hashlib.sha256(wanted.encode()).hexdigest()[:32]

    def arguments(self, name: str) -> list[str]:
        """The container's arguments."""
        settings = [word for change in self.settings for word in ("--set", change)]
        return ["--name", name, "--", "train", self.tier, *settings]


@dataclass(frozen=True)
class Place:
    """Where a job lives: what follows from the account and is never stored."""

    region: str
    bucket: str
    role_arn: str

    def uri(self, *parts: str) -> str:
        """An S3 address under saafe's prefix."""
        return "/".join([f"s3://{self.bucket}/saafe", *parts])


def image_uri(region: str, *, has_gpu: bool) -> str:
    """AWS's own PyTorch training image."""
    if region.startswith(("cn-", "us-iso")):
        raise InputError(f"region {region}: its images are not known here; use another region")
    account = IMAGE_ACCOUNTS.get(region, IMAGE_ACCOUNT)
    return f"{account}.dkr.ecr.{region}.amazonaws.com/pytorch:{IMAGE_TAG[has_gpu]}"


def build_request(
    entry: dict[str, Any], place: Place, rows: list[Instance], job: str
) -> dict[str, Any]:
    """The CreateTrainingJob request of one attempt.

    Args:
        entry: the launch as the ledger keeps it.
        place: bucket and role.
        rows: instance types to try in this attempt, in order; one only for spot.
        job: name of this attempt; the launch's own name names the run and its checkpoints.
    """
    plan, base = plan_of(entry), entry["job"]
    if len({row.gpus > 0 for row in rows}) > 1:
        raise InputError("instance: GPU and CPU types need different images; pick one kind")
    environment = {} if plan.threads is None else {"OMP_NUM_THREADS": str(plan.threads)}
    source = {
        "S3DataType": "S3Prefix",
        "S3Uri": place.uri("code", entry["code_sha256"]) + "/",
        "S3DataDistributionType": "FullyReplicated",
    }
    return {
        "TrainingJobName": job,
        "AlgorithmSpecification": {
            "TrainingImage": image_uri(place.region, has_gpu=rows[0].gpus > 0),
            "TrainingInputMode": "File",
            "ContainerEntrypoint": ["python3", "/opt/ml/input/data/code/container.py"],
            "ContainerArguments": plan.arguments(base),
            "MetricDefinitions": [
                {"Name": n, "Regex": regex} for n, regex in METRIC_PATTERNS.items()
            ],
        },
        "RoleArn": place.role_arn,
        "InputDataConfig": [{"ChannelName": "code", "DataSource": {"S3DataSource": source}}],
        "OutputDataConfig": {"S3OutputPath": place.uri("jobs")},
        "CheckpointConfig": {"S3Uri": place.uri("checkpoints", base)},
        "ResourceConfig": _resources(plan, rows),
        **_limits(plan, entry["limit_s"]),
        "EnableNetworkIsolation": False,  # pip must reach the package index
        "HyperParameters": {"tier": plan.tier, "launch": base, "request": entry["fingerprint"]},
        "Environment": environment,
        "Tags": [{"Key": "saafe", "Value": plan.tier}],
    }


def plan_of(entry: dict[str, Any]) -> JobPlan:
    """The plan that a ledger entry keeps."""
    kept = entry["plan"]
    lists = {name: tuple(kept[name]) for name in ("settings", "instance_types")}
    return JobPlan(**{**kept, **lists})


def _limits(plan: JobPlan, limit_s: int) -> dict[str, Any]:
    """How long the job may run, and for spot how long it may wait for machines besides."""
    stopping = {"MaxRuntimeInSeconds": limit_s}
    if not plan.spot:
        return {"StoppingCondition": stopping}
    stopping["MaxWaitTimeInSeconds"] = limit_s + WAIT_FOR_SPOT_S
    return {"StoppingCondition": stopping, "EnableManagedSpotTraining": True}


def _resources(plan: JobPlan, rows: list[Instance]) -> dict[str, Any]:
    resources: dict[str, Any] = {"VolumeSizeInGB": VOLUME_GB}
    if len(rows) > 1:
        preferences = [{"InstanceType": row.name, "InstanceCount": plan.instances} for row in rows]
        return {**resources, "InstancePreferences": preferences}
    return {**resources, "InstanceType": rows[0].name, "InstanceCount": plan.instances}
