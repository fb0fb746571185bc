"""One table of a scenario's file, whose keys are taken one by one, each of the type that it must have.

Every mistake is a BadQuestion that names the file and the key and says what would be right. Which keys there are is
left to plan_file.py.
"""

from __future__ import annotations

import re

from portbook.errors import N_, BadQuestion

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from portbook.lab.scenario import Transport

NAME = re.compile(r"[a-z][a-z0-9-]{0,30}")
REQUIRED = object()


class Section:
    """One table of the file: its keys are taken one by one, and none may be left."""

    def __init__(self, file: str, where: str, content: Mapping[str, Any]) -> None:
        self.file = file
        self.where = where
        self.left = dict(content)
        self.taken: list[str] = []

    def key(self, name: str) -> str:
        """Return how a key of this table is named to the reader."""
        return f"{self.where}.{name}" if self.where else name

    def wrong(self, name: str, message: str, **values: object) -> BadQuestion:
        """Return the error for a key; `message` has the fields {file} and {key}, and those of the values."""
        return BadQuestion(message, file=self.file, key=self.key(name), **values)

    def take(self, name: str, default: object = REQUIRED) -> Any:
        """Return the value of a key and count it as known."""
        self.taken.append(name)
        if name in self.left:
            return self.left.pop(name)
        if default is REQUIRED:
            raise self.wrong(name, N_("{file}: {key} is missing"))
        return default

    def text(self, name: str, default: object = REQUIRED) -> Any:
        """Return a text, or the default."""
        value = self.take(name, default)
        if value is not default and not (isinstance(value, str) and value.strip()):
            raise self.wrong(name, N_('{file}: {key} must be a text in quotes, such as {key} = "..."'))
        return value

    def choice(self, name: str, choices: tuple[str, ...], default: object = REQUIRED) -> Any:
        """Return one of some words."""
        value = self.take(name, default)
        if value is not default and value not in choices:
            if not choices:
                raise self.wrong(
                    name, N_("{file}: {key} is {value}, but the file has nothing of its kind"), value=value
                )
            message = N_("{file}: {key} must be one of: {choices}; not {value}")
            raise self.wrong(name, message, choices=", ".join(choices), value=value)
        return value

    def number(self, name: str, lowest: int, highest: int, default: object = REQUIRED) -> Any:
        """Return a whole number within bounds."""
        value = self.take(name, default)
        if value is default and default is not REQUIRED:
            return value
        if type(value) is not int or not lowest <= value <= highest:
            message = N_("{file}: {key} must be a whole number from {lowest} to {highest}; not {value}")
            raise self.wrong(name, message, lowest=lowest, highest=highest, value=value)
        return value

    def port(self, name: str, default: object = REQUIRED) -> Any:
        """Return a port."""
        return self.number(name, 1, 65535, default)

    def transports(self, choices: tuple[Transport, ...]) -> tuple[Transport, ...]:
        """Return one transport or a list of some; all of them where nothing is said."""
        value = self.take("transport", choices)
        given = tuple(value) if isinstance(value, (list, tuple)) else (value,)
        for place, one in enumerate(given):
            if one not in choices:
                message = N_("{file}: {key} must be one of: {choices}; not {value}")
                raise self.wrong("transport", message, choices=", ".join(choices), value=one)
            if one in given[:place]:
                raise self.wrong("transport", N_("{file}: {key} has {value} twice"), value=one)
        if not given:
            raise self.wrong("transport", N_("{file}: {key} is empty; leave it out for all of them"))
        return given

    def truth(self, name: str, default: bool) -> bool:
        """Return true or false."""
        value = self.take(name, default)
        if not isinstance(value, bool):
            raise self.wrong(name, N_("{file}: {key} must be true or false; not {value}"), value=value)
        return value

    def tables(self, name: str) -> list[tuple[str, Section]]:
        """Return the named tables of a key: [hosts.client], [hosts.server]..."""
        value = self.take(name, {})
        if not isinstance(value, dict) or not all(isinstance(one, dict) for one in value.values()):
            raise self.wrong(name, N_("{file}: {key} must be tables with names: [{key}.NAME]"))
        for one in value:
            if not NAME.fullmatch(one):
                message = N_(
                    "{file}: {key} is no name; one is of a-z, 0-9 and -, begins with a letter, and has up to 31"
                )
                raise self.wrong(f"{name}.{one}", message)
        return [(one, Section(self.file, self.key(f"{name}.{one}"), value[one])) for one in value]

    def list(self, name: str) -> list[Section]:
        """Return the tables of a list: [[steps]], [[steps]]..."""
        value = self.take(name, [])
        if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
            raise self.wrong(name, N_("{file}: {key} must be a list of tables: [[{key}]]"))
        return [Section(self.file, f"{self.key(name)}[{number}]", one) for number, one in enumerate(value, 1)]

    def end(self) -> None:
        """Refuse what nobody took."""
        for name in self.left:
            message = N_("{file}: {key} is not known; there are: {known}")
            raise self.wrong(name, message, known=", ".join(dict.fromkeys(self.taken)))
