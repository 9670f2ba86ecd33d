"""A local AWS endpoint on which saafe's jobs really run: rehearse a launch for $0.

SageMaker training, the price list and service quotas are answered here; S3, IAM, STS and
CloudWatch Logs by moto. What it cannot show: IAM decisions, image pulls, real capacity, NCCL.
"""

import io
import json
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from saafe.cloud import ENDED, LOG_GROUP, SHIPPED_REGION, Aws, inside, load_prices, set_up
from saafe.cloud.emulator.answers import Answers
from saafe.cloud.emulator.emulated_job import EmulatedJob, EmulatedRegion
from saafe.cloud.emulator.validation import Refusal, validate
from saafe.errors import InputError
from saafe.files import write_atomically, write_json

INSTALL_EMULATOR = 'the emulator is not installed: pip install "saafe[emulator]"'
KEYS = ("emulator", "emulator")
INTERNAL_KEY = "EMULATORINTERNAL"  # our own calls: no faults, not recorded

DROP = "drop"  # a fault code: the connection is cut without an answer
SIGNATURE_SKEW_S, S3_SKEW_S = 300, 900  # AWS allows 5 minutes, S3 15
OWN_SERVICES = {
    "SageMaker": "sagemaker",
    "AWSPriceListService": "pricing",
    "ServiceQuotasV20190624": "service-quotas",
}
JSON_TYPE = "application/x-amz-json-1.1"


@dataclass
class ApiFault:
    """An error that the next calls of an operation get.

    Args:
        operation: such as `sagemaker.DescribeTrainingJob` or `s3.PUT`; `*` fits all.
        code: AWS's error code, or `drop`.
        times: how many calls it hits.
        status: HTTP status of the answer.
    """

    operation: str
    code: str
    times: int = 1
    status: int = 400


@dataclass
class Call:
    """One request: what it asks for, and its body where that is small."""

    service: str
    operation: str
    region: str
    access_key: str
    date: str
    body: Any = None

    @property
    def name(self) -> str:
        """Service and operation."""
        return f"{self.service}.{self.operation}"


@dataclass
class Emulator:
    """The endpoint, its jobs and what it is asked to get wrong.

    Args:
        state: folder for jobs and stored objects.
        quotas: quota name: value, for what differs from the default.
        foreign_buckets: buckets of another account.
        clock_offset_s: how far its clock is ahead of this machine's. [s]
        listener: called with ("before" or "after", operation) around each call.
    """

    state: Path
    port: int = 0
    quotas: dict[str, float] = field(default_factory=dict)
    foreign_buckets: set[str] = field(default_factory=set)
    clock_offset_s: float = 0.0
    listener: Callable[[str, str], None] = lambda when, operation: None
    faults: list[ApiFault] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    last_call: float = field(default_factory=time.monotonic)

    def __post_init__(self):
        """Bind the port and prepare moto."""
        self.lock = threading.RLock()
        self.jobs: dict[str, EmulatedJob] = {}
        moto = _moto()
        self._moto_app = moto.DomainDispatcherApplication(moto.create_backend_app)
        serving = import_module("werkzeug.serving")
        logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
        try:
            self._server = serving.make_server("127.0.0.1", self.port, self, threaded=True)
        except (OSError, SystemExit) as error:
            raise InputError(f"port {self.port} is in use: pick another --port") from error
        self.port = self._server.server_port
        self._server.daemon_threads = True
        internal = Aws(SHIPPED_REGION, self.url, (INTERNAL_KEY, INTERNAL_KEY))
        self.internal = internal
        self.region_state = EmulatedRegion(
            s3=internal.client("s3"),
            logs=internal.client("logs"),
            gpus={name: row.gpus for name, row in load_prices().instances.items()},
        )
        self._answers = Answers(self)

    @property
    def url(self) -> str:
        """What goes into AWS_ENDPOINT_URL."""
        return f"http://127.0.0.1:{self.port}"

    def aws(self, region: str = SHIPPED_REGION, **settings: Any) -> Aws:
        """Clients of this endpoint."""
        return Aws(region, self.url, KEYS, **settings)

    def start(self) -> "Emulator":
        """Serve in a thread, with the role, the bucket and the log group in place."""
        self.state.mkdir(parents=True, exist_ok=True)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        import_module("moto.backends").get_backend("s3")  # its first import is slow
        self.internal.call("logs", "create_log_group", logGroupName=LOG_GROUP)
        self._load_objects()
        self._load_jobs()
        set_up(self.internal)
        return self

    def close(self) -> None:
        """Stop jobs and serving; stored objects stay in the state folder."""
        for job in self.jobs.values():
            job.stop_asked.set()
        for job in self.jobs.values():
            if job.thread.ident is not None:
                job.thread.join(timeout=self.region_state.grace_s + 5)
        self.save_objects()
        self._server.shutdown()
        self._server.server_close()
        for service in ("s3", "iam", "sts", "logs"):
            import_module("moto.backends").get_backend(service).reset()

    @property
    def is_busy(self) -> bool:
        """Whether a job is running."""
        return any(not job.has_ended for job in self.jobs.values())

    # Requests

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answer one request (WSGI)."""
        host = environ.get("HTTP_HOST", "").rpartition(":")[0]
        if "HTTP_ORIGIN" in environ or host not in {"127.0.0.1", "localhost"}:
            # Jobs run commands: no web page may reach this through the user's browser.
            return _answer(start_response, 403, b"{}", JSON_TYPE)
        self.last_call = time.monotonic()
        if environ["PATH_INFO"].startswith("/_emulator/"):
            return self._control(environ, start_response)
        call = read_call(environ)
        if call.access_key == INTERNAL_KEY:
            return self._serve(call, environ, start_response)
        self.listener("before", call.name)
        try:
            with self.lock:
                self.calls.append(call.name)
            self._check_clock(call)
            self._raise_fault(call, environ)
            self._check_owner(call, environ)
            return self._serve(call, environ, start_response)
        except Refusal as refusal:
            return _refuse(call, refusal, start_response)
        except ConnectionAbortedError:
            return []
        finally:
            self.listener("after", call.name)

    def _serve(self, call: Call, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if call.service not in OWN_SERVICES.values():
            if is_policy(call, environ) and not drop_conditions(environ):
                return _answer(start_response, 204, b"", "application/xml")
            # Consumed here, so that "after" means that the work was done.
            return list(self._moto_app(environ, start_response))
        validate(call.service, call.operation, call.body)
        answer = self._answers.answer(call)
        return _answer(start_response, 200, json.dumps(answer).encode(), JSON_TYPE)

    def _check_clock(self, call: Call) -> None:
        """Refuse requests signed at another time than ours, as AWS does."""
        if not call.date:
            return
        stamp = datetime.strptime(call.date, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        skew_s = abs(time.time() + self.clock_offset_s - stamp.timestamp())
        if call.service == "s3" and skew_s > S3_SKEW_S:
            message = "The difference between the request time and the current time is too large."
            raise Refusal("RequestTimeTooSkewed", message, 403)
        if call.service != "s3" and skew_s > SIGNATURE_SKEW_S:
            message = f"Signature expired: {call.date} is now earlier than the allowed 5 min."
            raise Refusal("InvalidSignatureException", message)

    def _raise_fault(self, call: Call, environ: dict[str, Any]) -> None:
        with self.lock:
            fits = {"*", call.name, f"{call.service}.*"}
            fault = next((fault for fault in self.faults if fault.operation in fits), None)
            if fault is None:
                return
            fault.times -= 1
            if fault.times <= 0:
                self.faults.remove(fault)
        if fault.code == DROP:
            environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
            raise ConnectionAbortedError
        is_slow = call.service == "s3" and fault.code == "ThrottlingException"
        code, status = ("SlowDown", 503) if is_slow else (fault.code, fault.status)  # S3's word
        raise Refusal(code, f"{code}, as rehearsed", status)

    def _check_owner(self, call: Call, environ: dict[str, Any]) -> None:
        """What moto leaves out: other accounts' buckets, and the expected owner."""
        if call.service != "s3":
            return
        bucket = environ["PATH_INFO"].strip("/").partition("/")[0]
        expected = environ.get("HTTP_X_AMZ_EXPECTED_BUCKET_OWNER")
        is_other = expected is not None and expected != self.internal.account
        if bucket in self.foreign_buckets or is_other:
            raise Refusal("AccessDenied", "Access Denied", 403)

    def _control(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """The emulator's own address: its health, and the faults to rehearse."""
        if environ["REQUEST_METHOD"] == "POST":
            size = int(environ.get("CONTENT_LENGTH") or 0)
            try:
                self.rehearse(json.loads(environ["wsgi.input"].read(size) or b"{}"))
            except (ValueError, TypeError, AttributeError) as error:
                message = json.dumps({"error": str(error)}).encode()
                return _answer(start_response, 400, message, "application/json")
        health = {
            "url": self.url,
            "pid": os.getpid(),
            "busy": self.is_busy,
            "faults": [asdict(fault) for fault in self.faults],
        }
        return _answer(start_response, 200, json.dumps(health).encode(), "application/json")

    def rehearse(self, payload: dict[str, Any]) -> None:
        """Take what should go wrong: all of it, or nothing when a value makes no sense."""
        faults = [ApiFault(**fault) for fault in payload.get("faults", [])]
        quotas = {str(name): float(value) for name, value in payload.get("quotas", {}).items()}
        interruptions = int(payload.get("interruptions", self.region_state.interruptions))
        hurry = float(payload.get("hurry", self.region_state.hurry))
        no_capacity = set(payload.get("no_capacity", []))
        with self.lock:
            self.faults += faults
            self.quotas |= quotas
            self.region_state.no_capacity |= no_capacity
            self.region_state.interruptions, self.region_state.hurry = interruptions, hurry

    # What outlives the process

    def save_job(self, folder: Path, description: dict[str, Any]) -> None:
        """Keep a job's description; once it has ended, the objects before it."""
        if description["TrainingJobStatus"] in ENDED:
            self.save_objects()
        write_json(folder / "description.json", description)

    def _load_jobs(self) -> None:
        for path in sorted((self.state / "jobs").glob("*/description.json")):
            description = json.loads(path.read_text())
            job = EmulatedJob(description, path.parent, self.region_state, self.save_job)
            if not job.has_ended:
                description |= {"FailureReason": "InternalServerError: the emulator was ended"}
                job.set_status("Failed", "Failed", description["FailureReason"])
            self.jobs[job.name] = job

    def save_objects(self) -> None:
        """Write what is in S3 to the state folder."""
        s3 = self.region_state.s3
        for bucket in s3.list_buckets()["Buckets"]:
            pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket["Name"])
            for item in (item for page in pages for item in page.get("Contents", [])):
                try:
                    path = inside(self.state / "objects" / bucket["Name"], item["Key"])
                except ValueError:  # not one of ours: it lives as long as the process
                    continue
                # LastModified is in whole seconds: what is a second old may have changed since
                changed = item["LastModified"].timestamp() + 1.0
                if path.exists() and path.stat().st_mtime > changed:
                    continue
                body = s3.get_object(Bucket=bucket["Name"], Key=item["Key"])["Body"].read()
                path.parent.mkdir(parents=True, exist_ok=True)
                # beside the buckets, and under a name of its own: jobs end at the same time
                partial = self.state / f"object.{threading.get_native_id()}.partial"
                write_atomically(path, body, partial=partial)

    def _load_objects(self) -> None:
        for folder in sorted((self.state / "objects").glob("*")):
            self.region_state.s3.create_bucket(Bucket=folder.name)
            for path in sorted(path for path in folder.rglob("*") if path.is_file()):
                key = path.relative_to(folder).as_posix()
                self.region_state.s3.put_object(Bucket=folder.name, Key=key, Body=path.read_bytes())


def read_call(environ: dict[str, Any]) -> Call:
    """What a signed request asks for; S3 operations are named by their HTTP method."""
    key, region, service = "", SHIPPED_REGION, "s3"
    credential = environ.get("HTTP_AUTHORIZATION", "").partition("Credential=")[2]
    scope = credential.partition(",")[0].split("/")
    if len(scope) >= 5:
        key, region, service = scope[0], scope[2], scope[3]
    call = Call(service, environ["REQUEST_METHOD"], region, key, environ.get("HTTP_X_AMZ_DATE", ""))
    target, _, operation = environ.get("HTTP_X_AMZ_TARGET", "").partition(".")
    if operation:
        call.service, call.operation = OWN_SERVICES.get(target, service), operation
        if target in OWN_SERVICES:
            try:
                call.body = json.loads(_body(environ) or b"{}")
            except ValueError:
                call.body = None
    elif service != "s3":
        form = parse_qs(_body(environ).decode(errors="replace"))
        call.operation = form.get("Action", [call.operation])[0]
    return call


def is_policy(call: Call, environ: dict[str, Any]) -> bool:
    """Whether this puts a bucket policy."""
    return call.service == "s3" and call.operation == "PUT" and environ["QUERY_STRING"] == "policy"


def drop_conditions(environ: dict[str, Any]) -> bool:
    """Take conditional statements out of a bucket policy; says whether any statement is left.

    moto applies them as if they had no condition, so that "deny what is not TLS" would deny all.
    """
    policy = json.loads(_body(environ))
    policy["Statement"] = [row for row in policy["Statement"] if not row.get("Condition")]
    body = json.dumps(policy).encode()
    environ |= {"wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))}
    for header in ("HTTP_CONTENT_MD5", "HTTP_X_AMZ_CHECKSUM_CRC32"):
        environ.pop(header, None)
    return bool(policy["Statement"])


def _body(environ: dict[str, Any]) -> bytes:
    """The request's body, left readable for moto."""
    size = int(environ.get("CONTENT_LENGTH") or 0)
    body = environ["wsgi.input"].read(size)
    environ["wsgi.input"] = io.BytesIO(body)
    return body


def _answer(start_response: Any, status: int, body: bytes, kind: str) -> list[bytes]:
    headers = [("Content-Type", kind), ("Content-Length", str(len(body)))]
    start_response(f"{status} {'OK' if status < 300 else 'Error'}", headers)
    return [body]


def _refuse(call: Call, refusal: Refusal, start_response: Any) -> list[bytes]:
    """An error in the form that the service's protocol has."""
    code, message, status = refusal.code, refusal.message, refusal.status
    if call.service == "s3":
        xml = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
        body = b"" if call.operation == "HEAD" else xml.encode()
        return _answer(start_response, status, body, "application/xml")
    if call.service in {"iam", "sts"}:
        error = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
        xml = f"<ErrorResponse>{error}<RequestId>0</RequestId></ErrorResponse>"
        return _answer(start_response, status, xml.encode(), "text/xml")
    body = json.dumps({"__type": code, "message": message}).encode()
    return _answer(start_response, status, body, JSON_TYPE)


def _moto() -> Any:
    try:
        return import_module("moto.moto_server.werkzeug_app")
    except ImportError as error:
        raise InputError(INSTALL_EMULATOR) from error
