"""Checkpoints with random weights under the published names, to try what reads them without any download."""

from __future__ import annotations

from pathlib import Path

OPENL3, CARE = "openl3.safetensors", "care.safetensors"


def write_openl3(folder: Path, seed: int, representation: str = "mel256") -> Path:
    """A checkpoint of OpenL3 at its real size, 19 MB. Returns its path."""
    import torch
    from safetensors.torch import save_file

    from ..extractors.openl3_network import REPRESENTATIONS, OpenL3

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = OpenL3(REPRESENTATIONS[representation], width=6144)
        first = network.batch_normalization_1
        first.running_mean.fill_(-40.0)  # about the middle of what decibels of a window are
        first.running_var.fill_(400.0)
    tensors = {name: values.contiguous() for name, values in network.state_dict().items() if "num_batches" not in name}
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / OPENL3)
    return folder / OPENL3


def write_care(folder: Path, seed: int, width: int = 32, layers: int = 6) -> Path:
    """A state dict of a small CARE: ``layers`` are the shared ones, and those of each stack. Returns its path."""
    import torch
    from safetensors.torch import save_file

    from ..extractors.care_network import Care, CareSizes

    sizes = CareSizes(
        width=width,
        heads=4,
        inner=2 * width,
        channels=(width,) * 7,
        kernels=(10, 3, 3, 3, 3, 2, 2),
        shared=layers,
        apart=layers,
        buckets=320,
        position_kernel=16,
        position_groups=4,
        has_thirds=True,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = Care(sizes)
    folder.mkdir(parents=True, exist_ok=True)
    save_file({name: values.contiguous() for name, values in network.state_dict().items()}, folder / CARE)
    return folder / CARE
