"""Speed of what surrounds training: start-up, passing over finished jobs, tables, pages, two jobs at once.

Run ``python benchmarks/runner.py`` on an idle machine with two cores. Whole commands are timed, in a temporary folder.
"""

import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BIOPPO = [sys.executable, "-m", "bioppo.cli.main"]
TINY = (
    "env=kinetic algo=ppo env.lambda_part=-20 env.num_envs=8 algo.batch_size=20 algo.hidden_sizes=[8] budget=60 "
    "evaluation.episodes=8 evaluation.baselines=false device=cpu display=off"
).split()
LONGER = "env=kinetic algo=ppo env.lambda_part=-20 budget=20000 evaluation.episodes=64 device=cpu display=off".split()


def seconds(folder: Path, *words: str) -> float:
    """Return the wall time of one command, which must succeed."""
    start = time.perf_counter()
    subprocess.run([*BIOPPO, *words], cwd=folder, check=True, capture_output=True)
    return time.perf_counter() - start


def multiply(run: Path, folder: Path, variants: int, seeds: int) -> None:
    """Copy one finished run into many, each with a config of its own."""
    import yaml

    config = yaml.safe_load((run / "config.yaml").read_text())
    for variant in range(variants):
        for seed in range(seeds):
            target = folder / f"variant_{variant}" / f"seed_{seed}"
            shutil.copytree(run, target, ignore=shutil.ignore_patterns("checkpoints", "figures", "tables"))
            changed = config | {"seed": seed, "algo": config["algo"] | {"gamma": 0.5 + variant / 1000}}
            (target / "config.yaml").write_text(yaml.safe_dump(changed))
            result = json.loads((target / "result.json").read_text())
            (target / "result.json").write_text(json.dumps({key: value + seed for key, value in result.items()}))


def main() -> None:
    """Print a line per measurement."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        seconds(folder, "train", *TINY)  # builds the model once
        (run,) = folder.glob("results/adhoc/*/seed_0")
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", "import torch"], check=True)
        torch = time.perf_counter() - start
        whole = seconds(folder, "train", *TINY, "seed=1")
        print(f"a whole job of one update, beyond importing torch   {whole - torch:6.1f} s")
        hundred = [
            *TINY,
            "algo.gamma=" + ",".join(f"0.{90 + k}" for k in range(10)),
            "seed=" + ",".join(map(str, range(10))),
        ]
        seconds(folder, "sweep", *hundred)
        print(f"100 finished jobs passed over                       {seconds(folder, 'sweep', *hundred):6.1f} s")
        multiply(run, folder / "many", 50, 10)
        print(f"table over 500 runs                                 {seconds(folder, 'table', 'many'):6.1f} s")
        print(f"status over 500 runs                                {seconds(folder, 'status', 'many'):6.1f} s")
        print(f"report over 500 runs                                {seconds(folder, 'report', 'many'):6.1f} s")
        one = seconds(folder, "sweep", *LONGER, "seed=0,1", "results=one")
        two = seconds(
            folder, "sweep", *LONGER, "seed=0,1", "results=two", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2"
        )
        print(f"two joblib jobs, of the time of one after the other {two / one:6.2f}")


if __name__ == "__main__":
    main()
