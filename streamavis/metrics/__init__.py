"""FSLA, HOTA and track mAP of audio-visual instance segmentation, and what a stream adds.

`official` is the public evaluator's protocol, slips included; `corrected` is what the paper
means. Start with `evaluate_files`, or feed a `StreamingEvaluator` frame by frame.
"""

from streamavis.metrics.data import Category, GroundTruth, Predictions
from streamavis.metrics.evaluation import PROTOCOLS, Evaluation, evaluate, evaluate_files, workers
from streamavis.metrics.incremental import Sight, StreamingEvaluator
from streamavis.metrics.oracle import oracle
from streamavis.metrics.reader import read_predictions, read_truth
from streamavis.metrics.scores import SUMMARY, FileScores, Protocol

__all__ = [
    "PROTOCOLS",
    "SUMMARY",
    "Category",
    "Evaluation",
    "FileScores",
    "GroundTruth",
    "Predictions",
    "Protocol",
    "Sight",
    "StreamingEvaluator",
    "evaluate",
    "evaluate_files",
    "oracle",
    "read_predictions",
    "read_truth",
    "workers",
]
