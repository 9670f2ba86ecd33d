"""The emulator's own operations: training jobs, service quotas, the price list."""

import json
import time
from typing import Any

from saafe.cloud import SHIPPED_REGION, load_prices
from saafe.cloud.emulator.emulated_job import EmulatedJob
from saafe.cloud.emulator.validation import Refusal, check_training_job, requested

DEFAULT_QUOTA = 4  # instances of each type, for training and for spot training
SUMMARY = (
    *("TrainingJobName", "TrainingJobArn", "CreationTime", "TrainingEndTime", "LastModifiedTime"),
    *("TrainingJobStatus", "SecondaryStatus"),
)


class Answers:
    """One method an operation, on the jobs of one emulator."""

    def __init__(self, emulator: Any):
        """Answer for an emulator."""
        self.emulator = emulator
        self.prices = load_prices()

    def answer(self, call: Any) -> dict[str, Any]:
        """What the operation returns, as JSON values.

        Raises:
            Refusal: as AWS would.
        """
        operations = {
            "CreateTrainingJob": self.create,
            "DescribeTrainingJob": self.describe,
            "ListTrainingJobs": self.list_jobs,
            "StopTrainingJob": self.stop,
            "ListServiceQuotas": self.list_quotas,
            "GetProducts": self.products,
        }
        if call.operation not in operations:
            raise Refusal("UnknownOperationException", f"{call.operation} is not emulated")
        with self.emulator.lock:
            return operations[call.operation](call.body, call.region)

    def create(self, request: dict[str, Any], region: str) -> dict[str, Any]:
        """CreateTrainingJob."""
        name = request["TrainingJobName"]
        for member in ("ResourceConfig", "StoppingCondition"):
            if member not in request:
                raise Refusal("ValidationException", f"{member} must be specified.")
        check_training_job(request, set(self.prices.instances))
        if name in self.emulator.jobs:
            raise Refusal(
                "ResourceInUse", f"Training job names must be unique within an account: {name}"
            )
        self._check_role(request["RoleArn"])
        self._check_buckets(request)
        self._check_quota(request)
        arn = f"arn:aws:sagemaker:{region}:{self.emulator.internal.account}:training-job/{name}"
        description = {
            **{key: value for key, value in request.items() if key != "Tags"},
            "TrainingJobArn": arn,
            "CreationTime": time.time(),
            "SecondaryStatusTransitions": [],
            "FinalMetricDataList": [],
            "ModelArtifacts": {"S3ModelArtifacts": ""},
        }
        folder = self.emulator.state / "jobs" / name
        folder.mkdir(parents=True, exist_ok=True)
        job = EmulatedJob(description, folder, self.emulator.region_state, self.emulator.save_job)
        job.set_status("InProgress", "Starting", "Starting the training job")
        self.emulator.jobs[name] = job
        job.thread.start()
        return {"TrainingJobArn": arn}

    def describe(self, request: dict[str, Any], region: str) -> dict[str, Any]:
        """DescribeTrainingJob."""
        return dict(self._find(request["TrainingJobName"]).description)

    def list_jobs(self, request: dict[str, Any], region: str) -> dict[str, Any]:
        """ListTrainingJobs: by creation, or as asked, in pages."""
        rows = [job.description for job in self.emulator.jobs.values()]
        wanted, part = request.get("StatusEquals"), request.get("NameContains", "")
        rows = [row for row in rows if wanted in {None, row["TrainingJobStatus"]}]
        rows = [row for row in rows if part in row["TrainingJobName"]]
        key = {"Name": "TrainingJobName", "Status": "TrainingJobStatus"}
        field = key.get(request.get("SortBy", ""), "CreationTime")
        is_descending = request.get("SortOrder", "Descending") == "Descending"
        rows.sort(key=lambda row: row[field], reverse=is_descending)
        summaries = [{key: row[key] for key in SUMMARY if key in row} for row in rows]
        return _page(summaries, request, "TrainingJobSummaries", 10)

    def stop(self, request: dict[str, Any], region: str) -> dict[str, Any]:
        """StopTrainingJob: refused for a job that has ended."""
        job = self._find(request["TrainingJobName"])
        if not job.ask_to_stop():
            state = job.description["TrainingJobStatus"]
            raise Refusal(
                "ValidationException",
                f"The request was rejected because the training job is in status {state}.",
            )
        return {}

    def list_quotas(self, request: dict[str, Any], region: str) -> dict[str, Any]:
        """ListServiceQuotas of SageMaker."""
        uses = ("training job usage", "spot training job usage")
        names = [f"{name} for {use}" for name in self.prices.instances for use in uses]
        quotas = [
            {"ServiceCode": "sagemaker", "QuotaName": name, "Value": self._quota(name)}
            for name in names
        ]
        return _page(quotas, request, "Quotas", 100)

    def products(self, request: dict[str, Any], region: str) -> dict[str, Any]:
        """GetProducts: the shipped prices, and the one-off fees that stand beside them."""
        filters = {row["Field"]: row["Value"] for row in request.get("Filters", [])}
        rows = []
        for name, row in self.prices.instances.items():
            attributes = {
                "regionCode": filters.get("regionCode", SHIPPED_REGION),
                "instanceName": name,
                "component": "Training",
                "vCpu": str(row.vcpu),
            }
            fee = {**attributes, "component": "TrainingPlanUpfrontFee"}
            rows += [_product(attributes, row.usd_per_hour), _product(fee, 0.01)]
        fitting = [
            json.dumps(row)
            for row in rows
            if all(row["product"]["attributes"].get(key) == v for key, v in filters.items())
        ]
        page = _page(fitting, request, "PriceList", 100)
        return {"FormatVersion": "aws_v1", **page}

    def _find(self, name: str) -> EmulatedJob:
        if name not in self.emulator.jobs:
            # The model says ResourceNotFound; botocore's waiter knows that this is what comes.
            raise Refusal("ValidationException", "Requested resource not found.")
        return self.emulator.jobs[name]

    def _check_role(self, arn: str) -> None:
        client = self.emulator.internal.client("iam")
        try:
            role = client.get_role(RoleName=arn.rpartition("/")[2])["Role"]
        except client.exceptions.NoSuchEntityException:
            role = {}
        trusts = "sagemaker.amazonaws.com" in str(role.get("AssumeRolePolicyDocument"))
        if role.get("Arn") != arn or not trusts:
            raise Refusal("ValidationException", f"Could not assume role {arn}.")

    def _check_buckets(self, request: dict[str, Any]) -> None:
        uris = [request["OutputDataConfig"]["S3OutputPath"]]
        uris += [request["CheckpointConfig"]["S3Uri"]] if "CheckpointConfig" in request else []
        own = {row["Name"] for row in self.emulator.region_state.s3.list_buckets()["Buckets"]}
        for uri in uris:
            bucket = uri.removeprefix("s3://").partition("/")[0]
            if bucket not in own - self.emulator.foreign_buckets:
                raise Refusal("ValidationException", f"S3 bucket {bucket} does not exist.")

    def _check_quota(self, request: dict[str, Any]) -> None:
        resources = request["ResourceConfig"]
        use = "spot training job" if request.get("EnableManagedSpotTraining") else "training job"
        for name, count in requested(resources):
            limit, used = self._quota(f"{name} for {use} usage"), self._in_use(name, use)
            if used + count > limit:
                raise Refusal(
                    "ResourceLimitExceeded",
                    f"The account-level service limit '{name} for {use} usage' is {limit:g}"
                    f" Instances, with current utilization of {used} Instances and a request"
                    f" delta of {count} Instances. Please use AWS Service Quotas to request an"
                    " increase for this quota.",
                )

    def _quota(self, name: str) -> float:
        return float(self.emulator.quotas.get(name, DEFAULT_QUOTA))

    def _in_use(self, name: str, use: str) -> int:
        total = 0
        for job in (job.description for job in self.emulator.jobs.values() if not job.has_ended):
            is_spot = bool(job.get("EnableManagedSpotTraining"))
            first, count = requested(job["ResourceConfig"])[0]
            if is_spot == use.startswith("spot") and name == first:
                total += count
        return total


def _page(rows: list[Any], request: dict[str, Any], key: str, size: int) -> dict[str, Any]:
    """One page of a listing, with the token of the next."""
    start = int(request.get("NextToken") or 0)
    end = start + int(request.get("MaxResults") or size)
    more = {"NextToken": str(end)} if end < len(rows) else {}
    return {key: rows[start:end], **more}


def _product(attributes: dict[str, str], usd: float) -> dict[str, Any]:
    dimension = {"unit": "Hrs", "pricePerUnit": {"USD": f"{usd:.10f}"}}
    term = {"priceDimensions": {"1": dimension}}
    return {"product": {"attributes": attributes}, "terms": {"OnDemand": {"1": term}}}
