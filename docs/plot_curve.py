"""The README's picture: fires in time against false alarms a year, from a full exam.

python docs/plot_curve.py [EXAM_JSON]    # by default that of the packaged model
"""

import json
import sys
from pathlib import Path

from matplotlib.figure import Figure

from saafe.exam import plots

ROOT = Path(__file__).parents[1]
source = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "saafe/model/exam.json"
figure = Figure(figsize=(9.0, plots.CURVES_INCHES), layout="constrained")
figure.suptitle("fires in time against false alarms a year", x=0.01, ha="left")
plots.put_curves(figure, json.loads(source.read_text())["rivals"])
figure.savefig(ROOT / "docs/images/curve.png", dpi=160)
