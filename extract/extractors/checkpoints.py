"""Published weights in a file of their own: tensors by their names, read without running anything that the file says."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import torch

from ...errors import EncoderError, SettingError

_INSIDE = ("state_dict", "model", "model_state_dict")  # where training programs put the tensors among other things
_BEGINNINGS = (b"PK", b"\x80\x02")  # of what torch.save writes, and of what it wrote before torch 1.6
_MOST_NAMED = 3  # tensors that an error names


def read_tensors(path: str, source: str) -> dict[str, torch.Tensor]:
    """The tensors of a safetensors file, or of one that ``torch.save`` wrote; ``source`` says where such files are had.

    Raises SettingError for an empty path, and EncoderError for a file that is missing, is no such file, holds code, or
    numbers that are not finite.
    """
    if not path:
        raise SettingError(f"weights must name a file: {source}")
    file = Path(path).expanduser()
    if not file.is_file():
        raise EncoderError(f"{path}: there is no such file of weights; {source}")
    content = _read(file, path)
    for name in _INSIDE:
        if isinstance(content, Mapping) and isinstance(content.get(name), Mapping):
            content = content[name]
            break
    tensors = {name: each for name, each in content.items() if isinstance(each, torch.Tensor)} if content else {}
    if not tensors:
        raise EncoderError(f"{path}: holds no tensors by their names; {source}")
    for name, values in tensors.items():
        if values.is_floating_point() and not values.isfinite().all():
            raise EncoderError(f"{path}: {name} holds values that are not finite numbers; fetch the file again")
    return tensors


def _read(file: Path, path: str) -> Mapping:
    if file.suffix == ".safetensors":
        from safetensors.torch import load_file

        try:
            return load_file(file)
        except Exception as error:  # safetensors has no exception type of its own for each defect
            raise EncoderError(f"{path}: cannot be read as safetensors ({_line(error)})") from error
    with open(file, "rb") as opened:
        beginning = opened.read(2)
    if beginning not in _BEGINNINGS:
        raise EncoderError(f"{path}: is no file of weights that torch.save wrote")
    try:
        content = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise EncoderError(
            f"{path}: holds more than tensors, and what else is in it is code that msmt does not run; save its"
            " state_dict alone (torch.save(model.state_dict(), FILE)) and name that file"
        ) from error
    except (RuntimeError, ValueError, EOFError, OSError, KeyError) as error:
        raise EncoderError(f"{path}: is no file of weights, or is cut short ({_line(error)})") from error
    return content if isinstance(content, Mapping) else {}


def check_sizes(path: str, tensors: Mapping[str, torch.Tensor], wanted: Mapping[str, torch.Size], what: str) -> None:
    """Raise EncoderError where tensors are missing or of other sizes than ``what`` has."""
    missing = [name for name in wanted if name not in tensors]
    if missing:
        raise EncoderError(f"{path}: lacks {_some(missing)}, so it is not {what}")
    others = [name for name, size in wanted.items() if tensors[name].shape != size]
    if others:
        name = others[0]
        raise EncoderError(
            f"{path}: {name} is {_size(tensors[name].shape)}, and {what} has {_size(wanted[name])}"
            f" ({len(others)} of {len(wanted)} tensors differ)"
        )


def digest_of(tensors: Mapping[str, torch.Tensor], *settings: object) -> str:
    """Hash of names, sizes and values, and of what else decides the values."""
    digest = hashlib.sha256(repr(settings).encode() if settings else b"")
    for name, values in sorted(tensors.items()):
        digest.update(f"{name} {tuple(values.shape)}".encode())
        digest.update(np.ascontiguousarray(values.detach().float().cpu().numpy()))
    return digest.hexdigest()[:32]


def _some(names: Iterable[str]) -> str:
    names = list(names)
    return ", ".join(names[:_MOST_NAMED]) + (f" and {len(names) - _MOST_NAMED} more" if names[_MOST_NAMED:] else "")


def _size(shape: torch.Size) -> str:
    return " x ".join(map(str, shape)) or "one number"


def _line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".")[:160] if lines else type(error).__name__
