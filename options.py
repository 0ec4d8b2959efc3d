"""Command-line options made from the fields of settings dataclasses, and from configuration files."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import errno
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

import click

from . import values
from .errors import SettingError, one_line, shown

_CONFIG_FILE = "msmt.config_file"  # under which a command's context keeps the path of its configuration file
_NUMBERS_TOO = ("channel", "devices", "max_failures", "seeds", "together")  # text that may be a number alone
_LONGEST_ARGUMENT = 10_000  # characters; no path is as long


class Place(NamedTuple):
    """Where a command is, and what the list of all commands says of it."""

    file: str
    """In ``commands``."""

    function: str
    help: str


class Commands(click.Group):
    """The group of all commands: refuses arguments that no command can use, and says failures of files in one line.

    A command is imported when it is called.
    """

    def __init__(self, *arguments, places: Mapping[str, Place] | None = None, **attributes) -> None:
        super().__init__(*arguments, **attributes)
        self.places = places or {}

    def list_commands(self, context: click.Context) -> list[str]:
        return [*self.places, *super().list_commands(context)]

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in self.places:
            return super().get_command(context, name)
        place = self.places[name]
        return getattr(import_module(f".commands.{place.file}", __package__), place.function)

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, place.help) for name, place in self.places.items()])

    def parse_args(self, context: click.Context, arguments: list[str]) -> list[str]:
        for number, argument in enumerate(arguments, start=1):
            values.check_text(f"argument {number}", argument)
            if len(argument) > _LONGEST_ARGUMENT:
                raise SettingError(f"argument {number} has {len(argument):,} characters: {shown(argument)}")
        return super().parse_args(context, arguments)

    def invoke(self, context: click.Context):
        try:
            return super().invoke(context)
        except click.MissingParameter as error:  # which writes a line for each choice
            raise click.UsageError(one_line(error.format_message()), error.ctx) from error
        except click.ClickException as error:
            error.message = one_line(error.message)
            raise
        except OSError as error:
            if error.errno == errno.EPIPE or error.filename is None:
                raise
            raise SettingError(f"{error.filename}: {error.strerror or error}") from error
        except KeyboardInterrupt:
            # With the status that shells expect, also while a command still starts.
            click.echo("interrupted", err=True)
            context.exit(130)


class _Field(click.Option):
    """The option of a field of a settings dataclass, which checks its values when it is made."""

    def __init__(self, *names, settings: type, **attributes) -> None:
        super().__init__(*names, **attributes)
        self.settings = settings


def options_of(
    settings: type,
    choices: Mapping[str, tuple[str, ...]] | None = None,
    without: tuple[str, ...] = (),
    repeated: tuple[str, ...] = (),
) -> Callable:
    """A decorator that gives a command one option per field of a settings dataclass, ``without`` some.

    The sentence under a field is the option's help. A flag becomes ``--name/--no-name``, a tuple
    an option that may be repeated, as may the ``repeated`` ones, whose texts are joined by commas.
    """
    choices = choices or {}
    sentences = _sentences(settings)

    def decorate(command: Callable) -> Callable:
        for item in reversed([each for each in dataclasses.fields(settings) if each.name not in without]):
            default = item.default if item.default is not dataclasses.MISSING else item.default_factory()
            option = item.name.replace("_", "-")
            kind = type(default)
            names = f"--{option}/--no-{option}" if kind is bool else f"--{option}"
            if kind is tuple:
                arguments = {"type": str, "multiple": True}
            elif item.name in choices:
                arguments = {"type": click.Choice(choices[item.name])}
            else:
                arguments = {} if kind is bool else {"type": kind}
            if item.name in repeated:
                arguments, default = {"type": str, "multiple": True, "callback": _joined}, ()
            command = click.option(
                names,
                item.name,
                cls=_Field,
                settings=settings,
                default=default,
                show_default=default not in ("", ()),
                help=sentences.get(item.name, ""),
                **arguments,
            )(command)
        return command

    return decorate


def _joined(context: click.Context, parameter: click.Parameter, value: tuple[str, ...]) -> str:
    return ",".join(value)


def taken(settings: type, given_values: dict):
    """The settings object from a command's values, which are removed from ``given_values``."""
    own = {item.name: given_values.pop(item.name) for item in dataclasses.fields(settings)}
    try:
        return settings(**own)
    except SettingError as error:
        context = click.get_current_context()
        for name in own:
            if context.get_parameter_source(name) == click.core.ParameterSource.DEFAULT_MAP:
                if _is_fine(settings, {other: value for other, value in own.items() if other != name}):
                    raise SettingError(f"{context.meta[_CONFIG_FILE]}: {_naming(name, error)}") from error
        raise


def place_of(name: str) -> str:
    """How an error calls an option of the running command: ``--name``, or the file that holds it and its name there."""
    context = click.get_current_context()
    is_from_file = context.get_parameter_source(name) == click.core.ParameterSource.DEFAULT_MAP
    return f"{context.meta[_CONFIG_FILE]}: {name}" if is_from_file else f"--{name.replace('_', '-')}"


def _is_fine(settings: type, chosen: dict) -> bool:
    try:
        settings(**chosen)
    except SettingError:
        return False
    return True


def _naming(name: str, error: SettingError) -> str:
    """What an error says, with the name of the option that it is about."""
    return str(error) if name in str(error) else f"{name}: {error}"


def config_option(command: Callable) -> Callable:
    """Give a command ``--config FILE``: a YAML or JSON file with any of its options; the command line wins."""

    def read(context: click.Context, parameter: click.Parameter, value: Path | None) -> None:
        if value is not None:
            context.meta[_CONFIG_FILE] = value
            context.default_map = {**(context.default_map or {}), **_read_config(value, context)}

    return click.option(
        "--config",
        type=click.Path(path_type=Path),
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


def config_content(path: Path | str, context: click.Context) -> dict[str, object]:
    """What a configuration file says to the running command: options by name. Raises SettingError, naming the file."""
    content = values.read_file(Path(path))
    if not isinstance(content, dict):
        raise SettingError(f"{path}: must hold options by name, such as 'epochs: 20'")
    # One file may serve several commands, with a section for each.
    root = context.find_root()
    sections = set(root.command.list_commands(root)) if context.parent else set()
    sections -= {
        parameter.name for parameter in context.command.params
    }  # --features is not the section of msmt features
    if set(content) <= sections:
        content = {} if content.get(context.info_name) is None else content[context.info_name]
        if not isinstance(content, dict):
            raise SettingError(f"{path}: {context.info_name} must hold options by name, but is {shown(content)}")
    return content


def _read_config(path: Path, context: click.Context) -> dict[str, object]:
    content = config_content(path, context)
    parameters = context.command.get_params(context)
    known = {parameter.name: parameter for parameter in parameters if parameter.name not in ("config", "help")}
    chosen: dict[str, object] = {}
    for name, value in content.items():
        parameter = known.get(name.replace("-", "_"))
        if parameter is None:
            _check_known(path, name, context)
            raise SettingError(f"{path}: msmt {context.info_name} has no option {shown(name)}")
        if parameter.name in chosen:
            raise SettingError(f"{path}: {parameter.name} stands there twice, with - and with _")
        try:
            chosen[parameter.name] = _from_file(parameter, value, context)
        except SettingError as error:
            raise SettingError(f"{path}: {error}") from error
    return chosen


def _check_known(path: Path, name: str, context: click.Context) -> None:
    """Raises SettingError where the command knows more of an option that it does not have."""
    check = getattr(context.command, "check_known", None)
    if check is None:
        return
    try:
        check(context, name)
    except SettingError as error:
        raise SettingError(f"{path}: {error}") from error


def _from_file(parameter: click.Parameter, value: object, context: click.Context) -> object:
    """What a file's value means for a parameter. Raises SettingError, which begins with the parameter's name."""
    if parameter.callback is _joined and isinstance(value, str):
        value = [value]
    if value is not None and (parameter.nargs == -1 or getattr(parameter, "multiple", False)):
        if not isinstance(value, Sequence) or isinstance(value, str):
            raise SettingError(f"{parameter.name} must be a list, such as [a, b], but is {shown(value)}")
        return [_one_from_file(parameter, each, context) for each in value]
    return _one_from_file(parameter, value, context)


def _one_from_file(parameter: click.Parameter, value: object, context: click.Context) -> object:
    kinds = ((click.types.BoolParamType, bool), (click.types.IntParamType, int), (click.types.FloatParamType, float))
    kind = next((kind for type_, kind in kinds if isinstance(parameter.type, type_)), str)
    if type(value) is int and parameter.name in _NUMBERS_TOO:
        value = str(value)
    value = values.for_field(parameter.name, value, kind)
    try:
        parameter.type.convert(value, parameter, context)
    except click.BadParameter as error:
        raise SettingError(f"{parameter.name}: {error.message}") from error
    if isinstance(parameter, _Field):
        _check_alone(parameter, value)
    return value


def _check_alone(parameter: _Field, value: object) -> None:
    """Raises SettingError for a value that no other setting can make good."""
    is_listed = isinstance(getattr(parameter.settings, parameter.name, None), tuple)  # by its default
    try:
        parameter.settings(**{parameter.name: (value,) if is_listed else value})
    except SettingError as error:
        if str(error).startswith((f"{parameter.name} must", f"{parameter.name.replace('_', ' ')} must")):
            raise SettingError(_naming(parameter.name, error)) from error


def _sentences(settings: type) -> dict[str, str]:
    """The docstring under each field, in one line, without its full stop."""
    bases = [base for base in settings.__mro__ if dataclasses.is_dataclass(base)]
    body = [item for base in bases for item in ast.parse(inspect.getsource(base)).body[0].body]
    return {
        field.target.id: " ".join(ast.literal_eval(text.value).split()).rstrip(".").replace("``", "")
        for field, text in zip(body, body[1:], strict=False)
        if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant)
    }
