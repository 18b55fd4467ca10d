"""The `config.yaml` of a run directory: how it is read, and which part of it makes a run what it is."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from .. import UserError

IDENTITY = ("env", "algo", "budget", "evaluation")
"""With the seed, what makes two runs the same; device, tracker, display and checkpoints do not count."""

SPEED_KEYS = ("env.workers",)
"""Options inside those parts that change the speed of a run and nothing else."""

# The parser written in C reads a config some ten times faster; not every build of PyYAML has it.
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_config(run_directory: Path) -> dict[str, Any]:
    """Read the config of a run.

    Raises
    ------
    UserError
        If the folder holds none, or it is not whole.
    """
    file = run_directory / "config.yaml"
    try:
        config = yaml.load(file.read_bytes(), Loader=LOADER)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UserError(
            f"{run_directory} is not a run directory: it has no config.yaml, so give one that bioppo train made."
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError):
        config = None
    whole = (
        isinstance(config, Mapping)
        and isinstance(config.get("env"), Mapping)
        and isinstance(config.get("algo"), Mapping)
        and isinstance(config.get("seed"), int)
    )
    if not whole:
        raise UserError(
            f"{file} is half-written, or not the config of a run (env, algo and seed): delete that run directory or "
            "copy it again."
        )
    return {str(key): value for key, value in config.items()}


def flatten(node: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested mappings as one with dotted keys; lists and empty mappings stay whole."""
    flat: dict[str, Any] = {}
    for key, value in node.items():
        if isinstance(value, Mapping) and value:
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def identity(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return, with dotted keys, the part of a config that makes a run what it is, without its seed."""
    flat = flatten({key: config[key] for key in IDENTITY if key in config})
    return {key: value for key, value in flat.items() if key not in SPEED_KEYS}
