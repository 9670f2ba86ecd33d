"""The examination of a run, its gate and its report.

Names are imported when they are used, so that a picture's style can be read without torch.
"""

from typing import TYPE_CHECKING

from saafe.errors import imported_late

if TYPE_CHECKING:
    from saafe.exam import (
        comparison_picture,
        device_comparison,
        exam,
        fires,
        outcomes,
        plots,
        references,
        judging,
    )
    from saafe.exam.exam import examine, examine_long
    from saafe.exam.long import examine_shard
    from saafe.exam.quick import ExamDevice
    from saafe.exam.gate import limits_of, line_texts
    from saafe.exam.html import figure_text, header, is_share, merged_bounds
    from saafe.exam.shifts import judge_simulated
    from saafe.exam.report import FIRE_COLUMNS, IDENTITY_COLUMNS, RIVAL_COLUMNS
    from saafe.exam.results import plain_values
    from saafe.exam.rivals import headline
    from saafe.exam.room_lines import (
        KIND_COLUMNS, ROOM_FIGURES, ROOMS_FILE, figure_rows, kind_rows, models_to_keep, sentences,
        weights_kept,
    )  # fmt: skip
    from saafe.exam.tables import (
        score_table, set_fires_table, sets_table, simulated_table, superposed_table,
    )  # fmt: skip

__all__ = [
    "FIRE_COLUMNS", "IDENTITY_COLUMNS", "KIND_COLUMNS", "RIVAL_COLUMNS", "ROOMS_FILE",
    "ROOM_FIGURES", "ExamDevice", "comparison_picture", "device_comparison", "exam", "examine",
    "examine_long", "examine_shard", "figure_rows", "figure_text", "fires", "header", "headline",
    "is_share", "judge_simulated", "judging", "kind_rows", "limits_of", "line_texts",
    "merged_bounds", "models_to_keep", "outcomes", "plain_values", "plots", "references",
    "score_table", "sentences", "set_fires_table", "sets_table", "simulated_table",
    "superposed_table", "weights_kept",
]  # fmt: skip
_MADE = {  # what each module makes; the other names of `__all__` are modules themselves
    "exam": (
        "examine",
        "examine_long",
    ),
    "gate": (
        "limits_of",
        "line_texts",
    ),
    "html": (
        "figure_text",
        "header",
        "is_share",
        "merged_bounds",
    ),
    "long": ("examine_shard",),
    "quick": ("ExamDevice",),
    "report": (
        "FIRE_COLUMNS",
        "IDENTITY_COLUMNS",
        "RIVAL_COLUMNS",
    ),
    "results": ("plain_values",),
    "rivals": ("headline",),
    "room_lines": (
        "KIND_COLUMNS",
        "ROOM_FIGURES",
        "ROOMS_FILE",
        "figure_rows",
        "kind_rows",
        "models_to_keep",
        "sentences",
        "weights_kept",
    ),
    "shifts": ("judge_simulated",),
    "tables": (
        "score_table",
        "set_fires_table",
        "sets_table",
        "simulated_table",
        "superposed_table",
    ),
}
__getattr__ = imported_late(__name__, __all__, _MADE)
