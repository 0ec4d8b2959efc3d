"""Commands whose options follow from the network that ``--model`` names."""

from __future__ import annotations

from collections.abc import Sequence

import click

from ..options import config_content, options_of
from ..studies.systems.registry import network_of_preset
from ..train.config import CHOICES, NetworkSettings, TrainConfig
from ..train.models.registry import DEFAULT, NETWORKS, STAGED, check_option, settings_of, staged_named

_SETTINGS = "msmt.network_settings"  # under which a command's context keeps the class of the network's settings
_OPTIONS = "msmt.network_options"  # and the options that were made of it

model_option = click.option(
    "--model",
    type=click.Choice((*NETWORKS, *STAGED)),
    default=DEFAULT,
    show_default=True,
    help=f"Network to train: {', '.join(NETWORKS)}; {', '.join(STAGED)} is a chain of them, of msmt train alone. With "
    f"--help it shows the options of that network.",
)


class OfNetworks(click.Command):
    """A command that has the options of one network, which stand before its own; those of another take their place."""

    def __init__(self, *arguments, **attributes) -> None:
        super().__init__(*arguments, **attributes)
        self._of_default = _options_of_network(settings_of(DEFAULT))
        self._model = next(each for each in self.params if each.name == "model")
        self.params = [self._model, *self._of_default, *(each for each in self.params if each is not self._model)]

    def parse_args(self, context: click.Context, arguments: list[str]) -> list[str]:
        name = _chosen(context, arguments)
        if name in STAGED:
            context.meta[_SETTINGS] = staged_named(name).settings
        else:
            context.meta[_SETTINGS] = settings_of(name if name in NETWORKS else DEFAULT)  # click refuses it by itself
        try:
            return super().parse_args(context, arguments)
        except click.NoSuchOption as error:
            self.check_known(context, error.option_name, dashed=True)
            raise

    def get_params(self, context: click.Context) -> list[click.Parameter]:
        settings, there = network_settings(context), super().get_params(context)
        if settings is settings_of(DEFAULT):
            return there
        if _OPTIONS not in context.meta:
            context.meta[_OPTIONS] = _options_of_network(settings)
        return [self._model, *context.meta[_OPTIONS], *there[1 + len(self._of_default) :]]

    def check_known(self, context: click.Context, name: str, dashed: bool = False) -> None:
        """Raises SettingError for an option of another network, which says whose it is."""
        field = name.strip("-").removeprefix("no-").replace("-", "_")
        check_option(field, network_settings(context), TrainConfig, dashed=dashed)


def _options_of_network(settings: type[NetworkSettings]) -> list[click.Parameter]:
    def without_options() -> None: ...

    options_of(settings, {**CHOICES, **settings.choices})(without_options)
    return list(reversed(without_options.__click_params__))


def network_settings(context: click.Context) -> type[NetworkSettings]:
    """The class of the settings of the network that the running command is about."""
    return context.meta.setdefault(_SETTINGS, settings_of(DEFAULT))


def _chosen(context: click.Context, arguments: Sequence[str]) -> str:
    """The network that the command line names, or else its configuration file, or else the one of a preset."""
    named = _last(arguments, "--model")
    if named is not None:
        return named
    path = _last(arguments, "--config")
    content = config_content(path, context) if path else {}
    preset = _last(arguments, "--preset") or content.get("preset")
    name = content.get("model", network_of_preset(preset) if isinstance(preset, str) else DEFAULT)
    return name if isinstance(name, str) else DEFAULT


def _last(arguments: Sequence[str], option: str) -> str | None:
    """The value that click will take for an option: the last that is given."""
    found = None
    for number, argument in enumerate(arguments):
        if argument == "--":
            break
        if argument == option and number + 1 < len(arguments):
            found = arguments[number + 1]
        elif argument.startswith(f"{option}="):
            found = argument.partition("=")[2]
    return found
