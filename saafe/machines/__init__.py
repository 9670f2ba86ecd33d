"""Many recordings and many machines: archives on disks or in S3, and workers by dask."""

from saafe.machines.archive import Outcome, Tally, Wish, events_of_archive, work_here
from saafe.machines.shelves import Entry, find_entries, open_shelf, files_named
from saafe.machines.objects import is_s3
from saafe.machines.remote import outcomes_on, shards_on

__all__ = [
    "Entry",
    "Outcome",
    "Tally",
    "Wish",
    "events_of_archive",
    "files_named",
    "find_entries",
    "is_s3",
    "open_shelf",
    "outcomes_on",
    "shards_on",
    "work_here",
]  # fmt: skip
