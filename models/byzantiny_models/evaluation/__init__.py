"""What a model is worth as it is deployed: its float control, its integers, its exported `.tflite`; by class, client and attack.

Pure functions of a task, a network and a model: nothing here knows of rounds, files or TensorFlow (docs/metrics.md).
"""

from byzantiny_models.evaluation.axes import AxisScore, score_axes
from byzantiny_models.evaluation.clients import Tails, client_scores, tails
from byzantiny_models.evaluation.interpreters import Interpreter, exact_interpreter, opened_interpreter
from byzantiny_models.evaluation.probes import Probes
from byzantiny_models.evaluation.scores import Evaluation, Scores, evaluate, scores_of

__all__ = [
    "AxisScore",
    "Evaluation",
    "Interpreter",
    "Probes",
    "Scores",
    "Tails",
    "client_scores",
    "evaluate",
    "exact_interpreter",
    "opened_interpreter",
    "score_axes",
    "scores_of",
    "tails",
]
