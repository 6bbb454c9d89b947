"""Reports of runs: read a run directory, compute, and write one page that needs no network.

Everything here is computed from the files of a run directory (`byzantiny.records`), never from live objects. Reading
and summarising need no extra; the page and the picture need `byzantiny[report]`.
"""

from byzantiny.report.arms import ArmSummary, summarize_arms, summary
from byzantiny.report.page import write_picture, write_report
from byzantiny.report.run import ReportError, Run, load_run
from byzantiny.report.statistics import Summary, summarize

__all__ = [
    "ArmSummary",
    "ReportError",
    "Run",
    "Summary",
    "load_run",
    "summarize",
    "summarize_arms",
    "summary",
    "write_picture",
    "write_report",
]
