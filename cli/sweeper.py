"""Hydra's basic sweeper, told which jobs are already done, and telling afterwards which failed and why."""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from omegaconf import OmegaConf

from .. import UserError
from ..configs.saved import identity, read_config
from ..configs.schema import SWEEPER, to_run_config, variant_name
from ..storage.atomic_file import write_atomically

# Scanning executes Hydra's core plugins once more: only the classes that stand there afterwards are the ones it uses.
Plugins.instance()
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper  # noqa: E402


@dataclass(frozen=True)
class Job:
    """One run of a sweep: the overrides that compose it, and where it is trained."""

    overrides: Sequence[str]
    variant: str
    seed: int
    directory: Path

    @property
    def finished(self) -> bool:
        """Whether the run has its result."""
        return (self.directory / "result.json").exists()

    def failure(self) -> str:
        """Return why the job is not finished, in a few words."""
        try:
            message = str(json.loads((self.directory / "failure.json").read_text())["message"])
        except (OSError, ValueError, KeyError):
            return "stopped"
        return " ".join(message.split())


class StudySweeper(BasicSweeper):
    """Compose and check every job before the first one runs, pass over finished ones, and launch the others.

    Parameters
    ----------
    max_batch_size, params
        As for Hydra's basic sweeper.
    reference
        A YAML file with the numbers a paper prints (``source`` and ``rows``), or None; tables show them as theirs.
    """

    def __init__(
        self, max_batch_size: int | None, params: dict[str, str] | None = None, reference: str | None = None
    ) -> None:
        super().__init__(max_batch_size, params)
        self.reference = reference
        # Hydra's `setup` fills these before it calls `sweep`.
        self.config: Any
        self.launcher: Any
        self.hydra_context: Any

    def sweep(self, arguments: list[str]) -> None:
        """Train what is missing; raise a `UserError` that names the jobs which failed."""
        directory = Path(self.config.hydra.sweep.dir)
        jobs = self._jobs(arguments, directory)
        pending = [job for job in jobs if not job.finished]
        write_study(directory, self._study_name(), jobs, self.reference)
        print(f"Sweep: {directory}, {len(jobs)} jobs, {len(jobs) - len(pending)} already finished", flush=True)
        try:
            if pending:
                self.launcher.launch([list(job.overrides) for job in pending], initial_job_idx=0)
        finally:
            print(f"Sweep: {directory}, {sum(job.finished for job in jobs)} of {len(jobs)} jobs finished")
            print(f"Next:  bioppo table {directory}  and  bioppo plot {directory}", flush=True)
        failed = [job for job in jobs if not job.finished]
        if failed:
            reasons = "; ".join(f"{job.variant} seed {job.seed}: {job.failure()}" for job in failed)
            raise UserError(f"{len(failed)} of {len(jobs)} jobs failed; the same command tries them again. {reasons}")

    def _study_name(self) -> str | None:
        name = OmegaConf.select(self.config, "study")
        return None if name is None else str(name)

    def _jobs(self, arguments: list[str], directory: Path) -> list[Job]:
        loader = self.hydra_context.config_loader
        given = [f"{key}={value}" for key, value in (self.params or {}).items()] + arguments
        overrides = OverridesParser.create(config_loader=loader).parse_overrides(given)
        (batch,) = self.split_arguments(overrides, max_batch_size=None)
        jobs = [self._job(words, directory) for words in batch]
        repeated = {job.directory for job in jobs if sum(job.directory == other.directory for other in jobs) > 1}
        if repeated:
            raise UserError(f"Several jobs would train in {min(repeated)}: sweep over keys that name the directory.")
        return jobs

    def _job(self, words: Sequence[str], directory: Path) -> Job:
        """Compose a job, check it as training would, and refuse it if its directory holds another config."""
        config: Any = self.hydra_context.config_loader.load_sweep_config(self.config, list(words))
        subdirectory = str(config.hydra.sweep.subdir)
        variant = config.get("variant") or variant_name(_root_=config)
        OmegaConf.set_struct(config, False)
        del config["hydra"]
        run = to_run_config(config)
        job = Job(words, str(variant), run.seed, directory / subdirectory)
        if job.finished:
            from ..training.build import plain

            there, here = identity(read_config(job.directory)), identity(json.loads(json.dumps(plain(run))))
            different = sorted(key for key in there | here if there.get(key) != here.get(key))
            if different:
                raise UserError(
                    f"{job.directory} holds a finished run of another config ({', '.join(different)} differ): "
                    "choose another folder with results=FOLDER or move it away."
                )
        return job


def write_study(directory: Path, study: str | None, jobs: Sequence[Job], reference: str | None) -> None:
    """Write ``study.json``, from which status and tables know what should be there; earlier jobs stay in it."""
    entries = {str(job.directory.relative_to(directory)): {"variant": job.variant, "seed": job.seed} for job in jobs}
    file = directory / "study.json"
    content: dict[str, Any] = {"study": study, "jobs": [], "reference": read_reference(reference)}
    if file.exists():
        entries = {entry.pop("directory"): entry for entry in json.loads(file.read_text())["jobs"]} | entries
    content["jobs"] = [entry | {"directory": path} for path, entry in entries.items()]
    directory.mkdir(parents=True, exist_ok=True)
    write_atomically(file, (json.dumps(content, indent=1) + "\n").encode())


def read_reference(reference: str | None) -> dict[str, Any] | None:
    """Read a file of reference rows, given by its path or by its name in ``configs/reference``."""
    if reference is None:
        return None
    shipped = Path(__file__).parents[1] / "configs" / "reference" / f"{reference}.yaml"
    file = shipped if shipped.exists() else Path(reference)
    try:
        content = yaml.safe_load(file.read_text())
    except FileNotFoundError as error:
        raise UserError(f"hydra.sweeper.reference={reference}: there is no such file; give its path.") from error
    if not isinstance(content, dict) or not {"source", "rows"} <= content.keys():
        raise UserError(f"{file} holds no reference rows: it needs the keys source and rows.")
    return content


def register_sweeper() -> None:
    """Make the sweeper known to Hydra, where ``hydra/sweeper=bioppo`` looks for it.

    Hydra accepts plugins from its own namespace package only, and finds them by the names of their modules: this module
    is entered there under a second name.
    """
    StudySweeper.__module__ = SWEEPER.rpartition(".")[0]
    sys.modules[StudySweeper.__module__] = sys.modules[__name__]
    Plugins.instance().register(StudySweeper)
