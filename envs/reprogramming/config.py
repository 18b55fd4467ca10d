"""Options of the reprogramming environment."""

from dataclasses import dataclass, field
from typing import Any, ClassVar

from ...configs.option import EnvConfig, OptionError, option
from .options import (
    CurriculumOptions,
    DataOptions,
    DynamicsOptions,
    GRNOptions,
    ImputeOptions,
    SimOptions,
    SplitOptions,
    TableOptions,
    TaskOptions,
    check_gain,
    check_number_suffix,
    fill_settings,
    infer_kind,
)


@dataclass(kw_only=True)
class ReprogrammingConfig(EnvConfig):
    """Move a measured cell to a target type by few knock-outs and overexpressions."""

    shorthands: ClassVar[dict[str, str]] = {"obs": "task"}
    single_options: ClassVar[dict[str, Any]] = {"obs": "dict"}
    _target_: str = option(
        "bioppo.envs.reprogramming.environment.ReprogrammingVectorEnv", "dotted name of the environment's class"
    )
    name: str = option("reprogramming", "name of the environment in directories and tables")
    num_envs: int = option(512, "copies stepped together while training", minimum=1)
    data: DataOptions = field(default_factory=DataOptions)
    data_split: SplitOptions = field(default_factory=SplitOptions)
    impute: ImputeOptions = field(default_factory=ImputeOptions)
    grn: GRNOptions = field(default_factory=GRNOptions)
    sim: SimOptions = field(default_factory=SimOptions)
    table: TableOptions = field(default_factory=TableOptions)
    dynamics: DynamicsOptions = field(default_factory=DynamicsOptions)
    task: TaskOptions = field(default_factory=TaskOptions)
    curriculum: CurriculumOptions = field(default_factory=CurriculumOptions)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.data = infer_kind(self.data)
        self.impute, self.table = fill_settings(self.data, self.impute, self.table)
        check_gain(self.table.gain)
        check_number_suffix("table.embedding", self.table.embedding, "pca", ("stored", "umap", "diffmap"))
        check_number_suffix("table.snap", self.table.snap, "pca", ("emb",))
        if self.data_split.val + self.data_split.test >= 1:
            raise OptionError(
                f"data_split.val={self.data_split.val}: with test={self.data_split.test} no cell is left to train on, "
                "so lower one of them."
            )
        if self.data.kind == "krumsiek11":
            raise OptionError(
                "data.kind=krumsiek11: its states are continuous and need no table, so choose "
                "env=reprogramming_krumsiek11."
            )
        for key in ("h5ad", "table", "oracle"):
            if self.data.kind == key and getattr(self.data, key) is None:
                raise OptionError(f"data.{key}=null: data.kind={key} needs a file, so give data.{key}=FILE.")
