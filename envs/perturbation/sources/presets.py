"""Public data sets of perturbed cells: which column says what, and what tells that the right file was fetched.

Numbers of perturbations are those of the papers; a range is given where files of one study count them differently.
Public loaders are known to hand out another file under a name, which the check of the number finds.
"""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .... import UserError
from ....configs.option import nearest
from ....datasets.download import find
from ..options import DataOptions


@dataclass(frozen=True, kw_only=True)
class Preset:
    """One file of a public data set, and what its columns are called.

    Attributes
    ----------
    file
        Its name in the data set's folder.
    columns
        Options of the data that differ from their defaults.
    perturbations
        Least and largest number of labels besides control's, or None where it is not known.
    """

    file: str
    columns: dict[str, Any]
    perturbations: tuple[int, int] | None = None


REPLOGLE = {"pert_col": "gene", "control_label": "non-targeting", "batch_col": "gem_group", "gene_col": "gene_name"}
VCC = {"pert_col": "target_gene", "control_label": "non-targeting", "batch_col": "batch"}

PRESETS = {
    # 105 genes alone and 131 pairs, joined by an underscore.
    "norman2019": Preset(
        file="NormanWeissman2019_filtered.h5ad", columns={"combo_separator": "_"}, perturbations=(230, 240)
    ),
    # 2,057 genes; 9,866 genome-wide; 2,393 in RPE1.
    "replogle2022_k562_essential": Preset(
        file="ReplogleWeissman2022_K562_essential.h5ad", columns={}, perturbations=(1900, 2200)
    ),
    "replogle2022_k562_gwps": Preset(
        file="ReplogleWeissman2022_K562_gwps.h5ad", columns={}, perturbations=(9000, 10_500)
    ),
    "replogle2022_rpe1": Preset(file="ReplogleWeissman2022_rpe1.h5ad", columns={}, perturbations=(2250, 2500)),
    "replogle2022_k562_essential_original": Preset(
        file="K562_essential_raw_singlecell_01.h5ad", columns=REPLOGLE, perturbations=(1900, 2200)
    ),
    "replogle2022_k562_gwps_original": Preset(
        file="K562_gwps_raw_singlecell_01.h5ad", columns=REPLOGLE, perturbations=(9000, 10_500)
    ),
    "replogle2022_rpe1_original": Preset(
        file="rpe1_raw_singlecell_01.h5ad", columns=REPLOGLE, perturbations=(2250, 2500)
    ),
    # Seven guides, named after gene and plasmid, and * for cells whose guide is unknown.
    "adamson2016_10x001": Preset(
        file="AdamsonWeissman2016_GSM2406675_10X001.h5ad",
        columns={"control_label": "62(mod)_pBA581"},
        perturbations=(7, 8),
    ),
    # Labels are guides: the gene, then g and a number, so that no target gene is measured under its label.
    "papalexi2021": Preset(file="PapalexiSatija2021_eccite_RNA.h5ad", columns={}),
    "sciplex3": Preset(
        file="SrivatsanTrapnell2020_sciplex3.h5ad", columns={"combo_separator": None}, perturbations=(180, 195)
    ),
    "vcc2025_h1": Preset(file="adata_Training.h5ad", columns=VCC, perturbations=(150, 150)),
    "parse_cytokine": Preset(
        file="adata_for_cellflow_datasets_with_embeddings.h5ad",
        columns={"pert_col": "cytokine", "control_label": "PBS", "cell_type_col": "cell_type", "combo_separator": None},
        perturbations=(90, 90),
    ),
    "kang2018": Preset(
        file="kang_2018.h5ad",
        columns={"pert_col": "label", "control_label": "ctrl", "cell_type_col": "cell_type", "combo_separator": None},
        perturbations=(1, 1),
    ),
}


def preset_options(options: DataOptions) -> DataOptions:
    """Return options that name the preset's file and columns; what the user changed from a default stays."""
    if options.source != "preset":
        return options
    if options.preset not in PRESETS:
        raise UserError(f"preset={options.preset}: {nearest(str(options.preset), PRESETS)}")
    preset = PRESETS[options.preset]
    defaults = DataOptions()
    columns = {key: value for key, value in preset.columns.items() if getattr(options, key) == getattr(defaults, key)}
    path = options.path or str(find(options.preset) / preset.file)
    return dataclasses.replace(options, path=path, **columns)


def check_number(options: DataOptions, path: Path, count: int) -> None:
    """Refuse a preset's file that has an unexpected number of perturbations."""
    expected = PRESETS[options.preset].perturbations if options.source == "preset" and options.preset else None
    if expected is None or expected[0] <= count <= expected[1]:
        return
    number = f"{expected[0]:,}" if expected[0] == expected[1] else f"{expected[0]:,} to {expected[1]:,}"
    raise UserError(
        f"preset={options.preset}: {path} has {count:,} perturbations in {options.pert_col} instead of {number}: it is "
        f"another file, so remove it and run bioppo data get {options.preset}, or read it with source=file."
    )
