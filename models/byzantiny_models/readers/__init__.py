"""Readers of data sets that the user has on the disk: nothing is downloaded, nothing in a file is believed.

Each checks magic, shape and type, says counts and sources (SHA-256), and names the data's natural federation key. A
file gives samples or a DatasetError that names the file, the place and the limit; nothing is half read.
"""

from __future__ import annotations

from byzantiny_models.readers.idx import parse_idx, read_idx_set
from byzantiny_models.readers.leaf import read_leaf
from byzantiny_models.readers.recordings import read_recordings
from byzantiny_models.readers.samples import Samples, Source
from byzantiny_models.readers.uci_har import read_uci_har

__all__ = ["Samples", "Source", "parse_idx", "read_idx_set", "read_leaf", "read_recordings", "read_uci_har"]
