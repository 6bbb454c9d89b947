"""Reports of sweeps: read a sweep's directory, score it, and write one page that needs no network."""

from byzantiny.report.sweep.load import SweepRun, is_sweep, load_sweep_run
from byzantiny.report.sweep.page import sweep_summary, write_sweep_report

__all__ = ["SweepRun", "is_sweep", "load_sweep_run", "sweep_summary", "write_sweep_report"]
