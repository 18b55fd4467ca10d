"""Where files that can be had again are kept."""

import os
from pathlib import Path

TRAINED_MODELS = "perturbation_embedding"
"""Folder of the cache with models that were trained on data sets."""


def cache_directory() -> Path | None:
    """Return ``$BIOPPO_CACHE``, or ``bioppo`` in the user's cache directory; None for a user without a home."""
    if chosen := os.environ.get("BIOPPO_CACHE"):
        return Path(chosen)
    if parent := os.environ.get("XDG_CACHE_HOME"):
        return Path(parent) / "bioppo"
    try:
        return Path.home() / ".cache" / "bioppo"
    except RuntimeError:
        return None
