"""The schema of a whole run, the registry of config groups, and the checks between groups."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, make_dataclass
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import MISSING, DictConfig, OmegaConf

from .. import UserError
from .option import PLAIN_COPIES, FreeOptions, Options, build_options, check_target, option
from .registry import GROUPS, load_target, schema_of
from .saved import IDENTITY, identity


@dataclass(kw_only=True)
class EvaluationConfig(Options):
    """How agents are measured."""

    episodes: int | None = option(
        None, "episodes of every evaluation; null: as many as the environment suggests, most often 500", minimum=1
    )
    num_envs: int | None = option(
        None, "copies stepped together while measuring; null: as many as in training", minimum=1
    )
    every: int | None = option(
        None, "simulator calls between evaluations on the validation split; null: a tenth of the budget", minimum=1
    )
    deterministic: bool | None = option(
        None, "measure the most probable action instead of drawing actions; null: as the environment suggests"
    )
    baselines: bool = option(True, "measure the environment's baselines on the test split too")


@dataclass(kw_only=True)
class CheckpointConfig(Options):
    """When checkpoints are written, besides after every evaluation and at the end."""

    seconds: float = option(30.0, "at most this long between two", unit="s", minimum=0)
    every: int | None = option(None, "simulator calls between numbered ones, which stay; null: none", minimum=1)
    keep: int | None = option(None, "how many of the numbered ones stay, the newest; null: all", minimum=1)


@dataclass(kw_only=True)
class RunConfig(Options):
    """One run: an environment, an algorithm, a seed and a budget."""

    env: Any = MISSING
    algo: Any = MISSING
    tracker: Any = MISSING
    study: str | None = option(None, "the study this run belongs to, if any")
    variant: str | None = option(None, "the run's row in its study's table, if any")
    seed: int = option(0, "every random number of the run follows from it", minimum=0)
    budget: int = option(40_000, "simulator calls to train for", minimum=1)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    checkpoint: CheckpointConfig = field(default_factory=CheckpointConfig)
    device: str = option("auto", "where networks are trained: auto, cpu, cuda or cuda:N")
    threads: int = option(1, "threads of torch and the linear algebra libraries", minimum=1)
    display: str = option("auto", "progress as a bar or as lines", choices=("auto", "rich", "plain", "off"))
    results: str = option("results", "folder of all run directories")


LARGEST_SHARE = 0.999999

SWEEPER = "hydra_plugins.bioppo.StudySweeper"


def register() -> None:
    """Put every schema into Hydra's store and define the resolvers that the YAML files use."""
    store = ConfigStore.instance()
    store.store(name="run_schema", node=RunConfig)
    for group, choices in GROUPS.items():
        for name in choices:
            store.store(group=group, name=name, node=node_of(group, name))
    sweeper = {
        "_target_": "hydra_plugins.bioppo.StudySweeper",
        "max_batch_size": None,
        "params": None,
        "reference": None,
    }
    store.store(group="hydra/sweeper", name="bioppo", node=sweeper)
    OmegaConf.register_new_resolver("bioppo.variant", variant_name, replace=True)
    OmegaConf.register_new_resolver("bioppo.divide", divide, replace=True)
    OmegaConf.register_new_resolver("bioppo.share", share, replace=True)
    OmegaConf.register_new_resolver("bioppo.stems", stems, replace=True)


def node_of(group: str, name: str) -> type[Any]:
    """Return what Hydra's store holds of a choice: its dataclass, with the groups inside it that have a default.

    A dataclass that names ``config_groups`` takes one of their YAML files for each of these fields.
    """
    schema = schema_of(group, name)
    inner: Mapping[str, str] = getattr(schema, "config_groups", {})
    if not inner:
        return schema
    defaults: list[Any] = ["_self_", *({key: choice} for key, choice in inner.items())]
    entry = ("defaults", list[Any], field(default_factory=lambda: list(defaults)))
    return make_dataclass(schema.__name__, [entry], bases=(schema,), kw_only=True)


def divide(total: int, parts: int) -> int:
    """Return a whole share of at least 1, for options that others imply: ``${bioppo.divide:2048,${env.num_envs}}``."""
    return max(1, total // parts)


def share(part: float, total: float) -> float:
    """Return which share of a total a part is, below 1, for options that say so: ``${bioppo.share:100,${budget}}``."""
    return min(part / total, LARGEST_SHARE)


def stems(*names: str | None) -> str:
    """Return names of files without folders and endings, joined by ``+``: what a variant's name says of its data.

    ``${bioppo.stems:${env.data.preset},${env.data.path}}``; what is null is left out.
    """
    return "+".join(Path(name).stem for name in names if name) or "generated"


def variant_name(*, _root_: DictConfig) -> str:
    """Return ``<env>-<algo>-<8 hex>``: a directory name that is a function of the config without its seed."""
    require_groups(_root_)
    parts: Any = OmegaConf.to_container(OmegaConf.masked_copy(_root_, list(IDENTITY)), resolve=True)
    digest = hashlib.sha256(json.dumps(identity(parts), sort_keys=True).encode()).hexdigest()[:8]
    return f"{group_name(parts['env'])}-{group_name(parts['algo'])}-{digest}"


def group_name(node: Mapping[str, Any]) -> str:
    """Return the name an environment or algorithm goes by, its Gymnasium id, or the last part of its target's."""
    name = node.get("name") or node.get("id") or str(node.get("_target_", "unnamed")).rpartition(".")[2]
    return str(name).replace("/", "-")


def require_groups(config: DictConfig) -> None:
    """Refuse a config without environment, algorithm or tracker."""
    for group, choices in GROUPS.items():
        if OmegaConf.is_missing(config, group) or config.get(group) is None:
            raise UserError(f"{group}=... is missing: write {group}={' or '.join(choices)}.")


def to_run_config(config: DictConfig | dict[str, Any], folders: Sequence[Path] = ()) -> RunConfig:
    """Turn a composed config, or the containers of a saved one, into checked objects.

    A user's own code that is not installed is looked for in ``folders``, in the one given with ``--config-dir`` and in
    the working directory.

    Raises
    ------
    UserError
        With the key, the value and the remedy.
    """
    config = OmegaConf.create(config) if isinstance(config, dict) else config
    require_groups(config)
    container = OmegaConf.to_container(config, resolve=True)
    assert isinstance(container, dict)
    values: dict[str, Any] = {str(key): value for key, value in container.items()}
    for group in GROUPS:
        values[group] = _to_object(group, values[group], (*folders, *command_line_folders()))
    run: RunConfig = build_options(RunConfig, values, "")
    validate(run)
    return run


def validate(run: RunConfig) -> None:
    """Check what only the groups together can tell."""
    if run.device not in ("auto", "cpu", "cuda") and not run.device.removeprefix("cuda:").isdigit():
        raise UserError(f"device={run.device}: choose auto, cpu, cuda or cuda:N.")


def _to_object(group: str, node: Mapping[str, Any], folders: Sequence[Path]) -> Any:
    """Make the dataclass whose ``_target_`` the node names, or keep a user's own options as they are."""
    target = node.get("_target_")
    if not isinstance(target, str):
        raise UserError(f"{group}._target_ is missing: give the dotted name of a class or function.")
    check_target(target)
    for name in GROUPS[group]:
        schema = schema_of(group, name)
        if schema._target_ == target:
            return build_options(schema, node, group)
    load_target(target, folders)
    options = FreeOptions({"_target_": target, "name": target.rpartition(".")[2], **node})
    if group == "env":
        options.setdefault("num_envs", PLAIN_COPIES)
        if not isinstance(options.num_envs, int) or options.num_envs < 1:
            raise UserError(f"env.num_envs={options.num_envs}: give a whole number of at least 1.")
    return options


def command_line_folders() -> list[Path]:
    """Return the folders given with ``--config-dir``, which may hold code beside their YAML files."""
    sources: list[Any] = []
    if HydraConfig.initialized():  # in a job, also where a launcher runs it in another process
        sources.extend(HydraConfig.get().runtime.config_sources)
    if GlobalHydra.instance().is_initialized():  # before a sweep's jobs begin
        sources.extend(GlobalHydra.instance().config_loader().get_sources())
    return [Path(source.path) for source in sources if source.provider == "command-line"]
