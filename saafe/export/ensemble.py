"""A run's transformer and gradient boosting of its windows, deciding together.

Trees split on levels where the transformer weighs them, and they err elsewhere. The mean finds
about as many fires at equal false alarms as the better of the two; see docs/edge.md.
"""

import hashlib
from copy import deepcopy

import onnx
from torch import Tensor

from saafe.export.graph import Nodes, class_nodes, guarded_node, risk_graph
from saafe.export.trees import fixed, forest_sha256, tree_nodes
from saafe.recipes import Recipe
from saafe.rivals import Boosting
from saafe.training import GuardedModel, features


class Ensemble(GuardedModel):
    """The mean of two models' logarithms of the shares of the classes.

    A channel that stands alone is guarded once, after the mean.
    """

    def __init__(self, transformer: GuardedModel, boosting: Boosting) -> None:
        """Take a run's model, which is copied, and trees of the same windows."""
        super().__init__()
        self.transformer, self.boosting = deepcopy(transformer).eval(), boosting
        self.transformer.lone_excess.zero_()

    def forward(self, windows: Tensor) -> Tensor:
        """Class logits. (batch, 60, 1, channel) to (batch, 1, class)"""
        both = [model(windows)[:, 0] for model in (self.transformer, self.boosting)]
        first, second = (logits.log_softmax(dim=-1) for logits in both)
        return self.guarded((first + second) / 2.0, features(windows[:, :, 0])).unsqueeze(1)


def ensemble_graph(model: Ensemble, recipe: Recipe, metadata: dict[str, str]) -> onnx.ModelProto:
    """The graph of both, of the inputs and outputs of `graph.build_graph`."""
    g = Nodes()
    logits, seen = class_nodes(g, model.transformer, recipe)
    both = [g("LogSoftmax", one, axis=1) for one in (logits, tree_nodes(g, model.boosting))]
    mean = g("Mul", g("Add", *both), 0.5)
    return risk_graph(g, guarded_node(g, mean, seen, model), mean, model, metadata)


def ensemble_sha256(model: Ensemble) -> str:
    """The hash of both models' numbers and of the ensemble's own, in hexadecimal."""
    digest = hashlib.sha256(forest_sha256(model.boosting).encode())
    own = (model.risk_scale, model.risk_shift, model.lone_excess)
    for one in (*model.transformer.state_dict().values(), *own):
        digest.update(fixed(one.detach().cpu().numpy()).tobytes())
    return digest.hexdigest()
