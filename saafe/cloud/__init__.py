"""Rented GPUs with one command: launch, watch, download, verify and bill.

boto3 is imported where it is used (`aws.py`); nothing here reaches into training, which runs in
the container exactly as `saafe train` runs at home.
"""

from saafe.cloud.artifact import inside
from saafe.cloud.aws import Aws, INSTALL_BOTO3, connect
from saafe.cloud.billing import bill_lines
from saafe.cloud.estimate import estimate_job, estimate_lines, offers
from saafe.cloud.ledger import ENDED, Ledger, other_out
from saafe.cloud.machine import Machine, split_settings
from saafe.cloud.package import pack
from saafe.cloud.prices import SHIPPED_REGION, load_prices, refresh
from saafe.cloud.request import INSTANCES, JobPlan
from saafe.cloud.sagemaker import Cloud, start_job, status, stop, view
from saafe.cloud.setup import LOG_GROUP, describe_setup, set_up
from saafe.cloud.verify import verify_run
from saafe.cloud.watch import Pace, Screen, follow

__all__ = [
    "ENDED", "INSTALL_BOTO3", "INSTANCES", "LOG_GROUP", "SHIPPED_REGION", "Aws",
    "Cloud", "JobPlan", "Ledger", "Machine", "Pace", "Screen", "bill_lines", "connect",
    "describe_setup", "estimate_job", "estimate_lines", "follow", "inside", "load_prices",
    "offers", "other_out", "pack", "refresh", "set_up", "split_settings", "start_job", "status",
    "stop", "verify_run", "view",
]  # fmt: skip
