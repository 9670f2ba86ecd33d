"""Calls to AWS: retried with backoff, redacted, and failing in one line."""

import os
import random
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache, cached_property
from importlib import import_module
from typing import Any
from urllib.parse import urlsplit

from saafe.errors import InputError, as_given

# Codes after which the same call may succeed: AWS's general error list, per service spelling.
RETRYABLE = frozenset(
    [
        *("Throttling", "ThrottlingException", "ThrottledException", "RequestThrottled"),
        *("TooManyRequestsException", "RequestLimitExceeded", "SlowDown"),
        *("ServiceUnavailable", "ServiceUnavailableException"),
        *("RequestTimeout", "RequestTimeoutException"),
        *("InternalFailure", "InternalError", "InternalServerError", "InternalServerException"),
    ]
)
CREDENTIALS = frozenset(
    [
        *("ExpiredToken", "ExpiredTokenException", "RequestExpired", "InvalidToken"),
        *("InvalidClientTokenId", "UnrecognizedClientException", "InvalidAccessKeyId"),
        *("SignatureDoesNotMatch", "IncompleteSignature"),
        "400",  # an S3 HEAD with expired credentials says so, and no more
    ]
)
CLOCK = frozenset({"RequestTimeTooSkewed", "InvalidSignatureException"})
NETWORK = "NetworkLost"
AWS_DOMAINS = (".amazonaws.com", ".amazonaws.com.cn", ".api.aws")
# Seconds between tries, each shortened by chance so that many launchers do not return in step.
WAITS_S = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
INSTALL_BOTO3 = 'boto3 is not installed: pip install "saafe[aws]"'

_SECRETS = (
    (re.compile(r"(?<=:)\d{12}(?=:)"), "************"),  # the account in an ARN
    (re.compile(r"\b(?:AKIA|ASIA|AROA|AIDA)[A-Z0-9]{12,}\b"), "****"),  # key and principal ids
    (re.compile(r"(?i)((?:secret|token|password|signature)\w*[\"']?\s*[:=]\s*)\S+"), r"\1****"),
)


class AwsError(InputError):
    """AWS refused or did not answer; `code` is its own error code."""

    def __init__(self, message: str, *, code: str):
        """Keep AWS's code beside the line that the user reads."""
        super().__init__(message)
        self.code = code

    @property
    def is_passing(self) -> bool:
        """Whether the same call may succeed later."""
        return self.code in RETRYABLE or self.code == NETWORK


def one_line(text: object) -> str:
    """A text without line breaks."""
    return " ".join(str(text).split())


def redact(text: str, account: str | None = None) -> str:
    """The text without account ids, key ids and anything that follows `secret=` or its like."""
    for pattern, mask in _SECRETS:
        text = pattern.sub(mask, text)
    return text.replace(account, "************") if account else text


@dataclass
class Aws:
    """One region of one account: clients are made when first used.

    Args:
        region: AWS region name.
        endpoint_url: another endpoint than AWS's; None leaves `AWS_ENDPOINT_URL` to boto3.
        keys: explicit (access key, secret), for the emulator; None uses the user's own.
        waits_s: pauses between tries of a failing call. [s]
    """

    region: str
    endpoint_url: str | None = None
    keys: tuple[str, str] | None = None
    waits_s: tuple[float, ...] = field(default_factory=lambda: WAITS_S)
    _clients: dict[str, Any] = field(default_factory=dict, repr=False)

    @cached_property
    def account(self) -> str:
        """The caller's account id; never printed, never stored."""
        return self.call("sts", "get_caller_identity")["Account"]

    @cached_property
    def is_elsewhere(self) -> bool:
        """Whether calls go to another endpoint than AWS's: a rehearsal, nobody is billed.

        The client is asked, not the environment: a profile may name an endpoint too, and
        `AWS_IGNORE_CONFIGURED_ENDPOINT_URLS` makes a named one void.
        """
        client = self.retry("sagemaker", lambda: self.client("sagemaker"))
        return not (urlsplit(client.meta.endpoint_url).hostname or "").endswith(AWS_DOMAINS)

    @cached_property
    def _session(self) -> Any:
        return _session_with(*self.keys) if self.keys else boto3().Session()

    def client(self, service: str) -> Any:
        """The boto3 client of a service, made once."""
        if service in self._clients:
            return self._clients[service]
        is_path = service == "s3" and self.is_elsewhere
        config = import_module("botocore.config").Config(
            retries={"total_max_attempts": 1},  # `call` retries, and says so
            connect_timeout=10,
            read_timeout=60,
            s3={"addressing_style": "path"} if is_path else None,
            proxies={} if self.endpoint_url else None,  # the emulator is on this machine
        )
        # The Price List API lives in a few regions only.
        region = "us-east-1" if service == "pricing" else self.region
        settings = {"region_name": region, "endpoint_url": self.endpoint_url, "config": config}
        return self._clients.setdefault(service, self._session.client(service, **settings))

    def call(self, service: str, operation: str, **parameters: Any) -> dict[str, Any]:
        """Call one operation, trying again while AWS is throttling, failing or out of reach.

        Raises:
            AwsError: one line for the user, with AWS's code.
        """
        return self.retry(
            f"{service}:{operation}", lambda: getattr(self.client(service), operation)(**parameters)
        )

    def pages(self, service: str, operation: str, **parameters: Any) -> Iterator[dict[str, Any]]:
        """All pages of a listing; services spell the token `NextToken` or `nextToken`.

        Raises:
            AwsError: as `call`.
        """
        token: dict[str, str] = {}
        while True:
            page = self.call(service, operation, **parameters, **token)
            yield page
            token = {key: page[key] for key in ("NextToken", "nextToken") if page.get(key)}
            if not token:
                return

    def retry(self, operation: str, attempt: Callable[[], Any]) -> Any:
        """What `attempt` returns, after as many tries as `waits_s` allows."""
        for wait_s in (*self.waits_s, None):
            try:
                return attempt()
            except Exception as error:
                failure = self._translate(error, operation)
                if failure is None:
                    raise
                if wait_s is None or not failure.is_passing:
                    raise failure from error
            time.sleep(wait_s * random.uniform(0.5, 1.0))
        raise AssertionError("the last try returns or raises")

    def _translate(self, error: Exception, operation: str) -> AwsError | None:
        """The user's line for a botocore exception; None when it is not one."""
        exceptions = import_module("botocore.exceptions")
        network = exceptions.HTTPClientError | exceptions.ConnectionError | ConnectionError
        broken = exceptions.IncompleteReadError | exceptions.ResponseStreamingError
        if isinstance(error, exceptions.ClientError):
            return self._client_error(error, operation)
        code, line = type(error).__name__, redact(one_line(error))
        if isinstance(error, exceptions.NoCredentialsError):
            line = no_credentials()
        elif isinstance(error, exceptions.ParamValidationError):
            code = "ValidationException"
        elif isinstance(error, network | broken):
            asked = f"{operation} in {len(self.waits_s) + 1} tries"
            line = f"no answer from AWS to {asked}: check the network, and run this again"
            code = NETWORK
        elif isinstance(error, exceptions.BotoCoreError) or "Invalid endpoint" in line:
            # expired single sign-on, a broken configuration file, an address that is none
            line = f"{line}: {CHECK_CONFIGURATION}"
        else:
            return None
        return AwsError(line, code=code)

    def _client_error(self, error: Any, operation: str) -> AwsError:
        details = error.response.get("Error", {})
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        code = str(details.get("Code", status))
        account = self.__dict__.get("account")  # where it is known already: no further call
        message = redact(one_line(details.get("Message", "")), account)
        if status >= 500 and code not in RETRYABLE:
            code = "InternalFailure"
        if code in RETRYABLE:
            asked = f"{operation} in {len(self.waits_s) + 1} tries"
            line = f"AWS answered {code} to {asked}: wait, and run this again"
        elif code in CREDENTIALS or (code in CLOCK and "does not match" in message):
            mend = "renew them (aws sso login, or aws configure), and run this again"
            line = f"AWS does not accept these credentials ({code}): {mend}"
        elif code in CLOCK:
            mend = "set it (timedatectl set-ntp true), and run this again"
            line = f"AWS finds this machine's clock wrong ({code}): {mend}"
        else:
            line = f"AWS refused {operation}: {code}: {message}"
        return AwsError(line, code=code)


CHECK_CONFIGURATION = "check aws configure, aws sso login and AWS_* variables"


def no_credentials() -> str:
    """What to do where there are no credentials."""
    here, rehearsal = (
        as_given("--on here", "saafe.train"),
        as_given("--on emulator", 'on="emulator"'),
    )
    return (
        "no AWS credentials: run `aws configure` or `aws sso login`; or train on this machine for "
        f"nothing ({here}), or rehearse the launch for $0 ({rehearsal}); `saafe prices` estimates "
        "time and cost without any"
    )


@cache
def _session_with(key: str, secret: str) -> Any:
    """One session for the same explicit keys: loading service models takes a moment."""
    return boto3().Session(key, secret)


def boto3() -> Any:
    """The boto3 module.

    Raises:
        InputError: it is not installed; the line names the pip command.
    """
    try:
        return import_module("boto3")
    except ImportError as error:
        raise InputError(INSTALL_BOTO3) from error


def connect(region: str | None = None) -> Aws:
    """AWS as the user's own configuration says.

    Raises:
        InputError: no region or no credentials; the line says what to run.
    """
    module = boto3()
    broken = import_module("botocore.exceptions").BotoCoreError
    try:  # no profile of the name, an unreadable file, half a key, a program that gives none
        session = module.Session()
        region = region or session.region_name or os.environ.get("AWS_REGION")
        has_credentials = session.get_credentials() is not None
    except broken as error:
        raise InputError(f"{redact(one_line(error))}: {CHECK_CONFIGURATION}") from error
    if not has_credentials:
        raise InputError(no_credentials())
    if not region:
        raise InputError("no AWS region: run `aws configure`, or set AWS_REGION")
    return Aws(region)
