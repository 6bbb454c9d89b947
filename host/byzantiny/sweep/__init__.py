"""Grids of runs: a file to cells, cells to runs that are named by their content, runs to one directory (docs/sweep.md)."""
