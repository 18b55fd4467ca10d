"""The choices of every config group, by the name users type. Their modules import nothing heavy."""

import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from .. import UserError
from .option import check_target

GROUPS: dict[str, dict[str, str]] = {
    "env": {
        "kinetic": "bioppo.envs.kinetic.config.KineticConfig",
        "perturbation": "bioppo.envs.perturbation.config.PerturbationConfig",
        "dfba": "bioppo.envs.dfba.config.DynamicFBAConfig",
        "reprogramming": "bioppo.envs.reprogramming.config.ReprogrammingConfig",
        "reprogramming_krumsiek11": "bioppo.envs.reprogramming.krumsiek_config.KrumsiekConfig",
        "gymnasium": "bioppo.envs.gymnasium.config.GymnasiumConfig",
    },
    "algo": {
        "ppo": "bioppo.algorithms.ppo.config.PPOConfig",
        "trpo": "bioppo.algorithms.trpo.config.TRPOConfig",
        "trpo_ppo": "bioppo.algorithms.trpo_ppo.config.TRPOPPOConfig",
        "masked_ppo": "bioppo.algorithms.masked_ppo.config.MaskedPPOConfig",
        "independent_ppo": "bioppo.algorithms.independent_ppo.config.IndependentPPOConfig",
        "independent_ppo_spam": "bioppo.algorithms.independent_ppo.spam_config.SpamPPOConfig",
        "random": "bioppo.algorithms.baselines.config.RandomConfig",
        "cma_es": "bioppo.algorithms.baselines.config.CMAESConfig",
        "cem": "bioppo.algorithms.baselines.config.CEMConfig",
        "nes": "bioppo.algorithms.baselines.config.NESConfig",
        "gradient": "bioppo.envs.kinetic.search_config.GradientConfig",
        "oracle": "bioppo.envs.kinetic.search_config.OracleConfig",
        "near_x": "bioppo.envs.kinetic.search_config.NearXConfig",
        "embedding": "bioppo.envs.perturbation.learner_config.EmbeddingConfig",
        "supervised": "bioppo.envs.perturbation.learner_config.SupervisedConfig",
        "log_uniform": "bioppo.envs.kinetic.search_config.LogUniformConfig",
    },
    "tracker": {
        "none": "bioppo.training.trackers.NoTrackerConfig",
        "tensorboard": "bioppo.training.trackers.TensorBoardConfig",
        "mlflow": "bioppo.training.trackers.MLflowConfig",
        "wandb": "bioppo.training.trackers.WandbConfig",
    },
}


def schema_of(group: str, name: str) -> type[Any]:
    """Import the dataclass of one choice of a group."""
    schema: type[Any] = load(GROUPS[group][name])
    return schema


def load(dotted_name: str) -> Any:
    """Import ``package.module.attribute``."""
    module, _, attribute = dotted_name.rpartition(".")
    return getattr(import_module(module), attribute)


def load_target(target: str, folders: Sequence[Path] = ()) -> Any:
    """Import what a ``_target_`` names, which may be a user's own code.

    A module that Python does not find where it looks anyway is searched for in ``folders``, each followed by its
    parent, and then in the working directory; the one that holds it is appended to ``sys.path``.

    Raises
    ------
    UserError
        If the name begins with a room of this package, which would import it a second time, or cannot be imported.
    """
    check_target(target)
    try:
        try:
            return load(target)
        except ModuleNotFoundError as error:
            top = target.partition(".")[0]
            if error.name != top or not (folder := _folder_of(top, folders)):
                raise
            sys.path.append(str(folder))
            return load(target)
    except Exception as error:  # a user's module may raise anything when it is imported
        raise UserError(
            f"_target_={target} cannot be imported ({type(error).__name__}: {error}): check its spelling, or name the "
            "folder that holds it with --config-dir FOLDER."
        ) from error


def _folder_of(module: str, folders: Sequence[Path]) -> Path | None:
    """Return the first folder that holds a module or package of this name."""
    places = [*(place for folder in folders for place in (folder.resolve(), folder.resolve().parent)), Path.cwd()]
    return next((place for place in places if (place / f"{module}.py").is_file() or (place / module).is_dir()), None)


def yaml_choices(group: str) -> dict[str, str]:
    """Return the package's YAML files of a group, by name, with their first comment as meaning."""
    files = sorted(Path(__file__).parent.glob(f"{group}/*.yaml"))
    return {file.stem: _first_comment(file.read_text()) for file in files}


def inner_choice(path: str) -> tuple[str, str, list[str]] | None:
    """Return group, name and choices of a missing ``env/case/starch/too``, or None where there is no such group.

    Choices of a group inside another one may lie in folders, which belong to their names.
    """
    parts = path.split("/")
    folder = Path(__file__).parent.joinpath(*parts[:2])
    if len(parts) < 3 or not folder.is_dir():
        return None
    names = sorted(str(file.relative_to(folder).with_suffix("")) for file in folder.rglob("*.yaml"))
    return "/".join(parts[:2]), "/".join(parts[2:]), names


def _first_comment(text: str) -> str:
    comments = (line.lstrip("# ") for line in text.splitlines() if line.startswith("#"))
    return next((line for line in comments if not line.startswith("@package")), "")
