"""The model and the detector as C99: one header and one source, weights and settings inside."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saafe import __version__, windows
from saafe.detector import CO_DOSES, AlarmSettings, alarms, detector, self_test
from saafe.recordings import BEHIND_S, LATE_S, held_sentinels
from saafe.sensors import (
    CHANNEL_NAMES,
    CHANNELS,
    CO,
    FIRE,
    HEAT_C,
    LABELS,
    LONGEST_PERIOD_S,
    PM25,
    RISE_K_PER_MIN,
    RISE_SPAN_S,
    TEMPERATURE,
)  # fmt: skip
from saafe.training import (
    FEATURES,
    LONE_CHANNELS,
    ONSET_SCALE,
    ONSET_STEPS,
    WINDOW_SUMMARY,
    Run,
    runs,
)

PARTS = ("network", "self_test", "alarms", "detector")
TEMPLATES = Path(__file__).parent / "c"
HEADER, SOURCE = "saafe.h", "saafe.c"
EXAMPLES = ("saafe_check.c", "esp32_main.c")
SCALE_KINDS = {"linear": "LINEAR", "log": "LOGARITHM", "log1p": "LOGARITHM_OF_MORE"}
LAYER = ("norm_attention", "qkv", "project", "norm_mlp", "widen", "narrow")


def c_sources(run: Run) -> dict[str, str]:
    """Text by file name: header, source and the examples that use them."""
    header = (TEMPLATES / HEADER).read_text()
    defines = {
        "SAAFE_VERSION": f'"{__version__}"',
        "SAAFE_TIER": f'"{run.recipe.tier}"',
        "SAAFE_MODEL_SHA256": f'"{runs.sha256(run.folder / runs.MODEL)}"',
        "SAAFE_CHANNELS": len(CHANNELS),
    }
    parts = [
        f"/* saafe {__version__}: model and detector, written by `saafe export --to c`. */\n"
        "#include <math.h>\n#include <stddef.h>\n#include <string.h>\n\n"
        f'#include "{HEADER}"\n',
        define_lines(settings(run)),
        tables(run.settings),
        weights(run),
        *((TEMPLATES / f"{part}.c").read_text() for part in PARTS),
    ]
    texts = {
        HEADER: header.replace("/*@CONSTANTS@*/\n", define_lines(defines)),
        SOURCE: "\n".join(parts),
    }
    columns = ", ".join(f'"{channel.column}"' for channel in CHANNELS)
    examples = {name: (TEMPLATES / name).read_text() for name in EXAMPLES}
    return texts | {n: t.replace("/*@COLUMN_NAMES@*/", columns) for n, t in examples.items()}


def settings(run: Run) -> dict[str, Any]:
    """Every number of the detector that Python has a name for."""
    recipe, model = run.recipe, run.model
    named = {name.upper(): double(value) for name, value in run.settings.to_dict().items()}
    for name in ("CONFIRM_S", "HUSH_S"):
        named[name] = double(getattr(alarms, name))
    for name in (
        "SILENT_S", "SILENT_INTERVALS", "IRREGULAR", "REGULAR", "UNKNOWN_PERIOD_S", "STUCK_S",
        "STUCK_HOLDS", "UPLOAD_SHARE", "NEAR_SHARE", "SATURATED_S", "SPIKE_SPAN_S",
    ):  # fmt: skip
        named[name] = double(getattr(self_test, name))
    for name in (
        "RECENT_INTERVALS",
        "TELLING_INTERVALS",
        "LONGEST_RANK",
        "USUAL_RUNS",
        "DRIFT_DAYS",
    ):
        named[name] = getattr(self_test, name)
    tokens = windows.STEPS // recipe.patch + 1
    return named | {
        "LATE_S": double(LATE_S), "BEHIND_S": double(BEHIND_S), "DAY_S": double(windows.DAY_S),
        "LONGEST_PERIOD_S": double(LONGEST_PERIOD_S), "HEAT_C": double(HEAT_C),
        "RISE_K_PER_MIN": double(RISE_K_PER_MIN), "RISE_SPAN_S": double(RISE_SPAN_S),
        "BIN_S": double(windows.BIN_S), "HOLD_S": double(windows.HOLD_S),
        "RECENT_STEPS": detector.RECENT_STEPS, "CHANNELS": "SAAFE_CHANNELS",
        "TEMPERATURE": TEMPERATURE, "PM25": PM25, "CO": CO,
        "LABELS": len(LABELS), "FIRE": FIRE,
        "FEATURES": FEATURES, "SEGMENTS": len(windows.SEGMENTS),
        "SEGMENT_STEPS": windows.SEGMENTS[0][0],
        "SEGMENT_BINS": braces(width for _, width in windows.SEGMENTS),
        "SUMMARY": WINDOW_SUMMARY, "ONSET_STEPS": ONSET_STEPS,
        "ONSET_SCALE": single(ONSET_SCALE), "MISSING_LEVEL": "1e4f",
        "WIDTH": recipe.width, "HEADS": recipe.heads, "EXPANSION": recipe.expansion,
        "PATCH": recipe.patch, "TOKENS": tokens, "RISK_SCALE": single(float(model.risk_scale)),
        "RISK_SHIFT": single(float(model.risk_shift)),
        "LONE_EXCESS": braces(single(excess) for excess in model.lone_excess.tolist()),
        "LONE": len(LONE_CHANNELS),
        "LONE_CHANNELS": braces(one for one, _ in LONE_CHANNELS),
        "LONE_WITHOUT": braces(sum(1 << c for c in others) for _, others in LONE_CHANNELS),
        "CHANNEL_WORDS": braces(f'"{name}"' for name in CHANNEL_NAMES),
    }  # fmt: skip


def tables(told: AlarmSettings) -> str:
    """What is known of each channel and of its device, and the doses of carbon monoxide."""
    scales = [
        braces([SCALE_KINDS[c.scale.kind], single(c.scale.centre), single(c.scale.spread),
                single(c.lowest), int(c.scale.is_wide)])
        for c in CHANNELS
    ]  # fmt: skip
    limits = zip(
        self_test.RESTS_FROM, self_test.SPIKE_RISE, self_test.SPIKE_SHARE, self_test.DRIFT_RISE,
        strict=True,
    )  # fmt: skip
    tests = [braces(map(double, row)) for row in limits]
    ranges = [braces(map(double, (c.lowest, c.highest, c.overshoot))) for c in CHANNELS]
    sent = held_sentinels(told.sentinels)
    values = [
        dict.fromkeys(map(single, (*(v for v, _ in c.wrong_values), *sorted(sent.get(c.name, ())))))
        for c in CHANNELS
    ]
    most = max(map(len, values))
    wrong = [braces([*each, *["NAN"] * most][:most]) for each in values]
    return f"""
typedef enum {{ LINEAR, LOGARITHM, LOGARITHM_OF_MORE }} scale_kind;
typedef struct {{ scale_kind kind; float centre, spread, lowest; bool is_wide; }} scale_row;
typedef struct {{ double rests_from, spike_rise, spike_share, drift_rise; }} self_test_row;
typedef struct {{ double lowest, highest, overshoot; }} range_row;
#define WRONG_VALUES {most}

static const scale_row SCALES[CHANNELS] = {braces(scales)};
static const self_test_row SELF_TESTS[CHANNELS] = {braces(tests)};
static const range_row RANGES[CHANNELS] = {braces(ranges)};
static const float WRONG[CHANNELS][WRONG_VALUES] = {braces(wrong)};
static const double SHOWS[CHANNELS] = {braces(map(double, detector.SHOWS))};
static const double DOSE_PPM[SAAFE_DOSES] = {braces(double(ppm) for ppm, _ in CO_DOSES)};
static const double DOSE_S[SAAFE_DOSES] = {braces(double(s) for _, s in CO_DOSES)};
"""


def weights(run: Run) -> str:
    """The weights, as constants: they stay in flash."""
    values = {name: t.detach().cpu().numpy() for name, t in run.model.state_dict().items()}
    plain = {
        "embed_weight": values["embed.weight"], "embed_bias": values["embed.bias"],
        "now_widen_weight": values["now_widen.weight"], "now_widen_bias": values["now_widen.bias"],
        "now_narrow_weight": values["now_narrow.weight"],
        "now_narrow_bias": values["now_narrow.bias"],
        "position": values["position"], "norm_weight": values["norm.weight"],
        "norm_bias": values["norm.bias"], "head_weight": values["head.weight"],
        "head_bias": values["head.bias"],
    }  # fmt: skip
    out = [array(name, value) for name, value in plain.items()]
    names = [f"{part}_{kind}" for part in LAYER for kind in ("weight", "bias")]
    rows = []
    for layer in range(run.recipe.layers):
        for name in names:
            source = name[::-1].replace("_", ".", 1)[::-1]
            out.append(array(f"layer{layer}_{name}", values[f"blocks.{layer}.{source}"]))
        rows.append(braces(f"layer{layer}_{name}" for name in names))
    fields = "".join(f"    const float *{name};\n" for name in names)
    out.append(f"typedef struct {{\n{fields}}} layer_row;\n")
    out.append("static const layer_row layers[] = " + braces(rows) + ";\n")
    return "\n".join(out)


def array(name: str, value: NDArray) -> str:
    """One constant array, row after row."""
    numbers = [single(float(v)) for v in value.ravel()]
    lines = ["    " + ", ".join(numbers[at : at + 8]) for at in range(0, len(numbers), 8)]
    return f"static const float {name}[{len(numbers)}] = {{\n" + ",\n".join(lines) + "\n};\n"


def single(value: float) -> str:
    """A float of C that reads back as it was."""
    text = f"{np.float32(value):.9g}"
    return text + ("f" if "." in text or "e" in text else ".0f")


def double(value: float) -> str:
    """A double of C that reads back as it was."""
    return "INFINITY" if np.isinf(value) else repr(float(value))


def braces(values: Any) -> str:
    """An initialiser."""
    return "{" + ", ".join(map(str, values)) + "}"


def define_lines(values: dict[str, Any]) -> str:
    """One macro a line."""
    return "".join(f"#define {name} {value}\n" for name, value in values.items())
