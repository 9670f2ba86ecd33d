"""A detector for the user's own rooms: tuned on their recordings, judged on days held out."""

from saafe.own_rooms.lines import KIND_COLUMNS, ROOM_FIGURES, figure_rows, kind_rows, sentences
from saafe.own_rooms.rooms import OwnRooms, read_rooms
from saafe.own_rooms.tuned_run import (
    RESULT_FILE, check_asked, check_without, note_asked, train_on_rooms, tune, tune_in, tuned_name,
)  # fmt: skip

__all__ = [
    "KIND_COLUMNS",
    "RESULT_FILE",
    "ROOM_FIGURES",
    "OwnRooms",
    "check_asked",
    "check_without",
    "figure_rows",
    "kind_rows",
    "note_asked",
    "read_rooms",
    "sentences",
    "train_on_rooms",
    "tune",
    "tune_in",
    "tuned_name",
]  # fmt: skip
