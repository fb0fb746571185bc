"""The languages of the page: which one a visitor reads, its messages, and how it writes numbers and times.

The catalogues are the locale package's; Babel knows how each language writes.
"""

from __future__ import annotations

from functools import cache, lru_cache
from typing import NamedTuple

from babel import Locale
from babel.core import negotiate_locale
from babel.dates import format_datetime, get_timezone
from babel.numbers import format_decimal
from markupsafe import Markup, escape

from portbook import locale
from portbook.errors import PortbookError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import gettext
    from datetime import datetime

    from starlette.requests import Request

COOKIE = "language"
_MOST_TAGS = 16
_MOST_KEPT = 16384


class Language(NamedTuple):
    """A language: its code as catalogues are named, its own name, the direction of its lines, and its messages."""

    code: str
    name: str
    direction: str
    messages: gettext.NullTranslations

    @property
    def tag(self) -> str:
        """The language tag of RFC 5646, as HTML wants it."""
        return self.code.replace("_", "-")

    def say(self, message: str, /, **values: object) -> Markup:
        """Return a message id in this language, filled and fit for HTML: the values are foreign text."""
        text = _escaped(self.code, message)
        return text.format(**self._shown(values)) if values else text

    def plural(self, one: str, many: str, count: int, /, **values: object) -> Markup:
        """Return the message in the form that a number takes; {count} is the number."""
        text = self.messages.ngettext(one, many, count)
        return escape(text).format(count=self.number(count), **self._shown(values))

    def plain(self, message: str, /, **values: object) -> str:
        """Return a message id in this language, filled, as plain text."""
        shown = {
            name: self.plain(value.message, **value.values) if isinstance(value, PortbookError) else value
            for name, value in values.items()
        }
        return self.messages.gettext(message).format(**shown)

    def number(self, value: float, digits: int | None = None) -> str:
        """Return a number as the language writes it, with so many digits after the point at most."""
        return _number(self.code, value if digits is None else round(value, digits))

    def time(self, moment: datetime, length: str = "medium") -> str:
        """Return a moment as the language writes it, in UTC."""
        return format_datetime(moment, length, tzinfo=get_timezone("UTC"), locale=self.code)

    def _shown(self, values: dict[str, object]) -> dict[str, object]:
        return {
            name: self.say(value.message, **value.values) if isinstance(value, PortbookError) else value
            for name, value in values.items()
        }


@lru_cache(_MOST_KEPT)
def _escaped(code: str, message: str) -> Markup:
    """Return a message fit for HTML, before it is filled."""
    return escape(languages()[code].messages.gettext(message))


@lru_cache(_MOST_KEPT)
def _number(code: str, value: float) -> str:
    return str(format_decimal(value, locale=code))


@cache
def languages() -> dict[str, Language]:
    """Return the languages of the page by code, in the order in which the menu shows them."""
    return {
        code: Language(code, _own_name(code), direction, locale.translations(code))
        for code, direction in locale.page_languages().items()
    }


def language_of(request: Request) -> Language:
    """Return the language of a request: as its address says, else the cookie, else what the browser asks for."""
    known = languages()
    for wanted in (request.query_params.get("lang"), request.cookies.get(COOKIE)):
        if wanted and wanted.replace("-", "_") in known:
            return known[wanted.replace("-", "_")]
    return accepted(request.headers.get("accept-language", ""))


def accepted(header: str) -> Language:
    """Return the language that fits a header Accept-Language best (RFC 9110, section 12.5.4), else English.

    What Chinese is written in is told by script or by country.
    """
    weighted = []
    for item in header.split(",")[:_MOST_TAGS]:
        tag, *parameters = (part.strip() for part in item.split(";"))
        weight = next((part[2:] for part in parameters if part.startswith("q=")), "1")
        try:
            weighted.append((float(weight), tag.replace("-", "_")))
        except ValueError:
            continue
    known = languages()
    wanted = [_chinese(tag) for weight, tag in sorted(weighted, key=lambda one: -one[0]) if weight > 0]
    return known[negotiate_locale(wanted, list(known), aliases=_ALIASES) or "en"]


_ALIASES = {"iw": "he", "in": "id"}


def _chinese(tag: str) -> str:
    parts = tag.split("_")
    if parts[0].lower() != "zh":
        return tag
    traditional = {"hant", "tw", "hk", "mo"} & {part.lower() for part in parts[1:]}
    return "zh_Hant" if traditional else "zh_Hans"


def _own_name(code: str) -> str:
    name = Locale.parse(code).get_display_name()
    return name[:1].upper() + name[1:] if name else code
