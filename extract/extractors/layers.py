"""Which hidden states of an encoder become features, and what these are called."""

from __future__ import annotations

from ...errors import SettingError, shown


def check_layers(layers: tuple[int, ...], join: bool) -> None:
    """Raise SettingError for layers that no encoder has, or that cannot be joined."""
    if any(type(layer) is not int for layer in layers):
        raise SettingError(f"layers must be whole numbers, such as [3, 6, 9], but are {shown(list(layers))}")
    if join and len(layers) < 2:
        raise SettingError("join puts several layers side by side: name at least two with layers, or leave it out")
