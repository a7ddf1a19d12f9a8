"""Measures the effective mu of other trainers' hybrid steps, as `chord probe` does that of ours.

    python -m benchmarks.effective_mu
    python -m benchmarks.effective_mu --peer "ms-swift 4.6.0"

Peers are stock TRL, of this environment, with an SFT term added to its loss; and ms-swift's own CHORD, each version in
an environment of its own, which is made in a temporary folder (about 3 GB and some minutes each).
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from benchmarks.effective_mu.batch import LOSSES, MU, SPLITS

from chord.probe import effective_mu

ROOT = Path(__file__).parents[2]
# What ms-swift's GRPO imports; its other requirements are of its user interface, of other trainers and of its hub.
BESIDE_MS_SWIFT = (
    "transformers==5.17.0 trl==0.29.1 accelerate==1.15.0 datasets==4.8.4 peft==0.20.0 addict aiohttp attrdict "
    "binpacking cpm-kernels dacite einops fastapi json-repair math-verify matplotlib modelscope>=1.23 msgspec "
    "nltk openai oss2 pandas pillow rouge scipy sentencepiece simplejson sortedcontainers tensorboard tiktoken "
    "uvicorn zstandard"
).split()
PEERS = {
    "TRL, naive term": ("trl_naive", None),
    "ms-swift 4.5.3": ("ms_swift", "ms-swift==4.5.3"),
    "ms-swift 4.6.0": ("ms_swift", "ms-swift==4.6.0"),
}


def environment_for(package: str, folder: Path) -> Path:
    """The Python of a new environment with ms-swift."""
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    python = folder / "bin/python"
    for packages in (["torch==2.13.0"], ["--no-deps", package], BESIDE_MS_SWIFT):
        subprocess.run([python, "-m", "pip", "install", "--quiet", *packages], check=True)
    return python


def measure(module: str, python: Path, out: Path) -> dict:
    """The gradients that a peer writes; see `batch.all_gradients`."""
    paths = {"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}", "OMP_NUM_THREADS": "1"}
    command = [python, "-W", "ignore", "-m", f"benchmarks.effective_mu.{module}", out]
    subprocess.run(command, check=True, env=os.environ | paths, stdout=subprocess.DEVNULL)
    return torch.load(out)


def lines(peer: str, gradients: dict) -> list[str]:
    rows = []
    for loss in LOSSES:
        pure = gradients[loss]["rl"], gradients[loss]["expert"]
        for split in SPLITS:
            found = effective_mu(gradients[loss]["mixed"][split], *pure)
            rows.append(
                f"{peer:<18}{loss:<6}{split:>13}{MU:>8}{found.mu:>9.3f}{found.a_rl:>9.4f}{found.a_ex:>9.4f}"
                f"{found.residual:>10.1e}"
            )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", choices=PEERS, help="measure only this one")
    parser.add_argument("--python", type=Path, help="of an environment that has the peer already")
    options = parser.parse_args()
    print(f"{'trainer':<18}{'loss':<6}{'micro-batches':>13}{'mu':>8}{'is':>9}{'a_rl':>9}{'a_ex':>9}{'residual':>10}")
    for peer in [options.peer] if options.peer else PEERS:
        module, package = PEERS[peer]
        with TemporaryDirectory() as name:
            folder = Path(name)
            python = options.python or (environment_for(package, folder / "env") if package else Path(sys.executable))
            print("\n".join(lines(peer, measure(module, python, folder / "gradients.pt"))), flush=True)


if __name__ == "__main__":
    main()
