"""Many recordings and many machines: archives on disks or in S3, and workers by dask."""

from saafe.machines.archive import Outcome, Tally, DetectOptions, events_of_archive, work_here
from saafe.machines.storage import Entry, find_entries, open_storage, files_named
from saafe.machines.s3 import is_s3
from saafe.machines.remote import outcomes_on, shards_on

__all__ = [
    "DetectOptions",
    "Entry",
    "Outcome",
    "Tally",
    "events_of_archive",
    "files_named",
    "find_entries",
    "is_s3",
    "open_storage",
    "outcomes_on",
    "shards_on",
    "work_here",
]  # fmt: skip
