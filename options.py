"""Command-line options made from the fields of settings dataclasses, and from configuration files."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import json
from collections.abc import Callable, Mapping
from pathlib import Path

import click

from .errors import SettingError


def options_of(
    settings: type, choices: Mapping[str, tuple[str, ...]] | None = None, without: tuple[str, ...] = ()
) -> Callable:
    """A decorator that gives a command one option per field of a settings dataclass, ``without`` some.

    The sentence under a field is the option's help. A flag becomes ``--name/--no-name``, a tuple
    an option that may be repeated.
    """
    choices = choices or {}
    sentences = _sentences(settings)

    def decorate(command: Callable) -> Callable:
        for item in reversed([each for each in dataclasses.fields(settings) if each.name not in without]):
            default = item.default if item.default is not dataclasses.MISSING else item.default_factory()
            option = item.name.replace("_", "-")
            kind = type(default)
            names = f"--{option}/--no-{option}" if kind is bool else f"--{option}"
            shown = default not in ("", ())
            if kind is tuple:
                arguments = {"type": str, "multiple": True}
            elif item.name in choices:
                arguments = {"type": click.Choice(choices[item.name])}
            else:
                arguments = {} if kind is bool else {"type": kind}
            command = click.option(
                names, item.name, default=default, show_default=shown, help=sentences.get(item.name, ""), **arguments
            )(command)
        return command

    return decorate


def taken(settings: type, values: dict):
    """The settings object from a command's values, which are removed from ``values``."""
    return settings(**{item.name: values.pop(item.name) for item in dataclasses.fields(settings)})


def config_option(command: Callable) -> Callable:
    """Give a command ``--config FILE``: a YAML or JSON file with any of its options; the command line wins."""

    def read(context: click.Context, parameter: click.Parameter, value: Path | None) -> None:
        if value is not None:
            context.default_map = {**(context.default_map or {}), **_read_config(value, context)}

    return click.option(
        "--config",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        is_eager=True,
        expose_value=False,
        callback=read,
        help="YAML or JSON file that holds any of these options; the command line wins.",
    )(command)


def given(context: click.Context, name: str) -> bool:
    """Whether the user set an option, on the command line or in a configuration file."""
    return context.get_parameter_source(name) in (
        click.core.ParameterSource.COMMANDLINE,
        click.core.ParameterSource.DEFAULT_MAP,
    )


def _read_config(path: Path, context: click.Context) -> dict:
    text = path.read_text(encoding="utf-8")
    try:
        if path.suffix == ".json":
            content = json.loads(text)
        else:
            import yaml

            content = yaml.safe_load(text)
    except ValueError as error:
        raise SettingError(f"{path}: is not valid JSON ({error})") from error
    except Exception as error:  # yaml's errors share no built-in base
        raise SettingError(f"{path}: is not valid YAML ({' '.join(str(error).split())})") from error
    if not isinstance(content, dict):
        raise SettingError(f"{path}: must hold options by name, such as 'epochs: 20'")
    # One file may serve several commands, with a section for each.
    sections = set(context.find_root().command.commands) if context.parent else set()
    if set(content) <= sections:
        content = content.get(context.info_name) or {}
    known = {parameter.name for parameter in context.command.params}
    chosen = {str(name).replace("-", "_"): value for name, value in content.items()}
    unknown = sorted(set(chosen) - known)
    if unknown:
        raise SettingError(f"{path}: msmt {context.info_name} has no option {unknown[0]!r}")
    return chosen


def _sentences(settings: type) -> dict[str, str]:
    """The docstring under each field, in one line, without its full stop."""
    body = ast.parse(inspect.getsource(settings)).body[0].body
    return {
        field.target.id: " ".join(ast.literal_eval(text.value).split()).rstrip(".").replace("``", "")
        for field, text in zip(body, body[1:], strict=False)
        if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant)
    }
