"""What AWS rejects: botocore's own service model, and the rules its documentation adds.

Used by the emulator only.
"""

import re
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from typing import Any

LONGEST_RUNTIME_S = 28 * 24 * 3600  # botocore: "The maximum value is 28 days"
_CLASSES = {
    r"\p{L}": "a-zA-Z\u00c0-\uffff",
    r"\p{Z}": r"\s",
    r"\p{N}": "0-9",
    r"\p{Alnum}": "a-zA-Z0-9",
}
_PYTHON_TYPES: dict[str, type | tuple[type, ...]] = {
    "structure": dict,
    "map": dict,
    "list": list,
    "string": str,
    "boolean": bool,
    "integer": int,
    "long": int,
    "float": (int, float),
    "double": (int, float),
    "timestamp": (int, float, str),
}


class Refusal(Exception):  # noqa: N818 - AWS refuses, and says so
    """An error answer in AWS's own words."""

    def __init__(self, code: str, message: str, status: int = 400):
        """Keep code, message and HTTP status."""
        super().__init__(message)
        self.code, self.message, self.status = code, message, status


@cache
def service_model(service: str) -> Any:
    """Botocore's model of a service; loading SageMaker's takes a moment."""
    return import_module("botocore.session").get_session().get_service_model(service)


def validate(service: str, operation: str, request: Any) -> None:
    """Check a request against the model as the service would.

    Raises:
        Refusal: ValidationException, naming every member that is wrong.
    """
    model = service_model(service)
    if operation not in model.operation_names:
        raise Refusal("UnknownOperationException", f"Unknown operation {operation}", 400)
    shape = model.operation_model(operation).input_shape
    errors = list(_check(shape, request, "")) if shape is not None else []
    if errors:
        plural = "s" if len(errors) > 1 else ""
        message = f"{len(errors)} validation error{plural} detected: {'; '.join(errors)}"
        raise Refusal("ValidationException", message)


def _check(shape: Any, given: Any, path: str) -> Iterator[str]:
    """Yield what is wrong with a value, in AWS's phrasing."""
    wanted = _PYTHON_TYPES.get(shape.type_name)
    is_number_as_bool = isinstance(given, bool) and shape.type_name != "boolean"
    if wanted is not None and (not isinstance(given, wanted) or is_number_as_bool):
        yield f"Value at '{path}' failed to satisfy constraint: Member must be a {shape.type_name}"
        return
    value: Any = given  # of the shape's type, as just seen
    yield from _check_limits(shape, value, path)
    if shape.type_name == "structure":
        for name in shape.required_members:
            if name not in value:
                member = _join(path, name)
                yield f"Value null at '{member}' failed to satisfy constraint: must not be null"
        for name, member in value.items():
            if name not in shape.members:
                yield f"Unknown parameter '{_join(path, name)}'"
            elif member is not None:
                yield from _check(shape.members[name], member, _join(path, name))
    elif shape.type_name == "list":
        for index, member in enumerate(value):
            yield from _check(shape.member, member, f"{path}.{index + 1}.member")
    elif shape.type_name == "map":
        for key, member in value.items():
            yield from _check(shape.key, key, f"{path}.key")
            yield from _check(shape.value, member, f"{path}.{key}")


def _check_limits(shape: Any, value: Any, path: str) -> Iterator[str]:
    limits = shape.metadata
    failed = f"Value {value!r} at '{path}' failed to satisfy constraint: Member must"
    is_number = isinstance(value, int | float)
    size, what = (value, "value") if is_number else (0, "")
    if isinstance(value, str | list | dict) and shape.type_name != "structure":
        size, what = len(value), "length"
    if what and "min" in limits and size < limits["min"]:
        yield f"{failed} have {what} greater than or equal to {limits['min']}"
    if what and "max" in limits and size > limits["max"]:
        yield f"{failed} have {what} less than or equal to {limits['max']}"
    if "enum" in limits and value not in limits["enum"]:
        yield f"{failed} satisfy enum value set: [{', '.join(limits['enum'])}]"
    pattern = limits.get("pattern")
    if pattern and isinstance(value, str) and not _compiled(pattern).fullmatch(value):
        yield f"{failed} satisfy regular expression pattern: {pattern}"


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    for java, python in _CLASSES.items():
        pattern = pattern.replace(java, python)
    return re.compile(pattern, re.DOTALL)


def _join(path: str, name: str) -> str:
    first = name[0].lower() + name[1:]
    return f"{path}.{first}" if path else first


def check_training_job(request: dict[str, Any], rented: set[str]) -> None:
    """The rules of CreateTrainingJob that its model does not express.

    Args:
        request: passed the model already.
        rented: instance types on offer in the region.

    Raises:
        Refusal: ValidationException.
    """
    algorithm, resources = request.get("AlgorithmSpecification", {}), request["ResourceConfig"]
    types = [name for name, _ in requested(resources)]
    preferences = resources.get("InstancePreferences", [])
    counted = [row for row in preferences if "InstanceCount" in row]
    wanted = 0 if "InstanceCount" in resources else len(preferences)
    missing = sorted(set(types) - rented)
    channels = [channel["ChannelName"] for channel in request.get("InputDataConfig", [])]
    is_spot, stopping = bool(request.get("EnableManagedSpotTraining")), request["StoppingCondition"]
    limit_s = stopping.get("MaxRuntimeInSeconds", 86_400)
    wait_s = stopping.get("MaxWaitTimeInSeconds")
    one_algorithm = bool(algorithm.get("TrainingImage")) != bool(algorithm.get("AlgorithmName"))
    one_kind = bool(resources.get("InstanceType")) != bool(preferences)
    is_selected = bool({"SelectedInstanceType", "SelectedInstanceCount"} & resources.keys())
    rules = {
        "You must specify either TrainingImage or AlgorithmName, not both.": one_algorithm,
        "Channel names must be unique.": len(set(channels)) == len(channels),
        "Specify exactly one of InstanceType and InstancePreferences in ResourceConfig.": one_kind,
        "InstancePreferences is mutually exclusive with EnableManagedSpotTraining.": not (
            preferences and is_spot
        ),
        "An instance type can appear only once in an InstancePreferences list.": (
            len(set(types)) == len(types)
        ),
        "Set InstanceCount on every preference, or once in ResourceConfig.": (
            not preferences or len(counted) == wanted
        ),
        "SelectedInstanceType is read-only.": not is_selected,
        "InstanceCount must be at least 1.": all(count >= 1 for _, count in requested(resources)),
        f"Instance types {missing} are not supported for training jobs in this region.": (
            not missing
        ),
        f"MaxRuntimeInSeconds must be at most {LONGEST_RUNTIME_S}.": limit_s <= LONGEST_RUNTIME_S,
        "MaxWaitTimeInSeconds must be specified when using managed spot training.": (
            not is_spot or wait_s is not None
        ),
        "MaxWaitTimeInSeconds may be specified with managed spot training only.": (
            wait_s is None or is_spot
        ),
        "MaxWaitTimeInSeconds must be greater than or equal to MaxRuntimeInSeconds.": (
            wait_s is None or wait_s >= limit_s
        ),
    }
    for message, holds in rules.items():
        if not holds:
            raise Refusal("ValidationException", message)


def requested(resources: dict[str, Any]) -> list[tuple[str, int]]:
    """Instance types of a ResourceConfig with their counts, in order of preference."""
    if "InstancePreferences" in resources:
        common = resources.get("InstanceCount", 1)
        rows = resources["InstancePreferences"]
        return [(row["InstanceType"], row.get("InstanceCount", common)) for row in rows]
    name = resources.get("InstanceType")
    return [(name, resources.get("InstanceCount", 0))] if name else []
