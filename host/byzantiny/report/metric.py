"""What the figures of a run measure, in words: `accuracy`, or the metric that the run's task has instead."""

from __future__ import annotations

from byzantiny.records import Manifest
from byzantiny_models.metrics import TITLES


def metric_name(manifest: Manifest) -> str:
    """Return the metric's name; runs from before there were several measured accuracy."""
    return str(manifest.task.get("metric", "accuracy"))


def metric_title(name: str) -> str:
    """Return a metric as it is written within a sentence.

    >>> metric_title("accuracy"), metric_title("auc"), metric_title("other")
    ('accuracy', 'AUC', 'other')
    """
    return TITLES.get(name, name)


def metric_heading(name: str) -> str:
    """Return a metric as it is written at the beginning of a sentence.

    >>> metric_heading("accuracy"), metric_heading("auc")
    ('Accuracy', 'AUC')
    """
    title = metric_title(name)
    return title[:1].upper() + title[1:]
