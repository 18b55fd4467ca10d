"""Where a run came from: command, code, versions and machine."""

import importlib.metadata
import json
import os
import platform
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import bioppo

PACKAGES = (
    "cma", "cobra", "gymnasium", "hydra-core", "numpy", "omegaconf", "pandas", "sb3-contrib", "scipy",
    "stable-baselines3", "torch",
)  # fmt: skip


def provenance(*, device: str, threads: int) -> dict[str, Any]:
    """Return what is known of this process and the code it runs."""
    return {
        "command": " ".join(sys.argv),
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "host": socket.gethostname(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "versions": {"bioppo": bioppo.__version__} | _package_versions(),
        "git": _git_state(Path(bioppo.__file__).parent),
        "device": device,
        "threads": threads,
        "blas_threads": os.environ.get("OPENBLAS_NUM_THREADS"),
    }


def read_provenance(path: Path) -> dict[str, Any]:
    """Return what an earlier attempt wrote, or nothing if it cannot be read."""
    try:
        content: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return content


def _package_versions() -> dict[str, str]:
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def _git_state(folder: Path) -> dict[str, Any] | None:
    """Return commit and dirty flag of the checkout the package is imported from, if it is one."""
    if not (folder / ".git").exists():
        return None
    try:
        commit = _git(folder, "rev-parse", "HEAD")
        return {"commit": commit, "dirty": bool(_git(folder, "status", "--porcelain"))}
    except (OSError, subprocess.SubprocessError):
        return None


def _git(folder: Path, *arguments: str) -> str:
    return subprocess.run(
        ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True, timeout=10
    ).stdout.strip()
