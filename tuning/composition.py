"""Composing runs as `bioppo train` does, with the values of a trial added to what was typed."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_module
from hydra.core.config_store import ConfigStore
from omegaconf import OmegaConf

from .. import UserError
from ..configs.option import OptionError
from ..configs.schema import RunConfig, register, to_run_config
from .search_space import SearchConfig


@dataclass(kw_only=True)
class SearchOnly:
    """The top of a composition that holds a search and no run."""

    search: SearchConfig = field(default_factory=SearchConfig)


@dataclass(frozen=True)
class Composition:
    """What was typed: overrides of the run, and the user's folder of YAML files if there is one."""

    overrides: tuple[str, ...]
    config_folder: Path | None = None

    def run(self, values: Mapping[str, Any]) -> RunConfig:
        """Return the run of ``bioppo train`` with the same overrides and, after them, ``++key=value`` of these.

        That also adds keys to options which hold a mapping.
        """
        added = [f"++{key}={override_text(value)}" for key, value in values.items()]
        folders = [] if self.config_folder is None else [self.config_folder]
        with self._hydra() as found:
            return to_run_config(compose("train", overrides=[*found, *self.overrides, *added]), folders)

    def search(self, name: str, settings: Sequence[str]) -> SearchConfig:
        """Return the search ``configs/search/<name>.yaml`` with the settings typed, such as ``n_trials=50``.

        Raises
        ------
        UserError
            If a setting is not allowed; Hydra's own errors where the search does not exist.
        """
        ConfigStore.instance().store(name="search_schema", node=SearchOnly)
        typed = [f"search.{setting.removeprefix('search.')}" for setting in settings]
        with self._hydra() as found:
            config = compose("search_schema", overrides=[*found, f"+search={name}", *typed])
        container = OmegaConf.to_container(config.search, resolve=True)
        assert isinstance(container, dict)
        try:
            return SearchConfig(**{str(key): value for key, value in container.items()})
        except OptionError as error:
            raise UserError(str(error)) from error

    @contextmanager
    def _hydra(self) -> Iterator[list[str]]:
        """Give Hydra the package's YAML files; yields the override that adds the user's."""
        register()
        with initialize_config_module("bioppo.configs", version_base="1.3"):
            folder = self.config_folder
            yield [] if folder is None else [f"hydra.searchpath=[{override_text(f'file://{folder.absolute()}')}]"]


def override_text(value: Any) -> str:
    """Write a value in the grammar of Hydra's overrides, so that it is read back exactly."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return f"[{','.join(map(override_text, value))}]"
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace("'", "\\'")
        return f"'{escaped}'"
    return repr(value)
