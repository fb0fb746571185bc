"""Full-text search over the registry: names, descriptions, unofficial uses, and the texts on the main ports.

It puts everything that the registry says into an SQLite FTS5 index in memory and asks that. Looking a port or
an exact name up needs none of this and is left to lookup.
"""

from __future__ import annotations

from portbook.registry.about import abouts
from portbook.registry.lines import every_line
from portbook.registry.lookup import services_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from portbook.registry.lookup import Registry
    from portbook.service import Service

INDEX = """
CREATE VIRTUAL TABLE documents USING fts5(
    name, keywords, description, story, content = '', tokenize = 'unicode61 remove_diacritics 2'
)
"""

MATCHES = "SELECT rowid, bm25(documents, 10.0, 6.0, 4.0, 1.0) FROM documents WHERE documents MATCH ?"

MAIN_WEIGHT, UNOFFICIAL_WEIGHT = 4, 2
"""How many times better a match of these is: few of IANA's assignments are met as often."""


MOST_WORDS = 32
"""How many words of a question are looked at: no sentence that somebody types has more that matter."""


class Index:
    """The registry and the texts of one language, to be asked again and again, by one thread at a time."""

    def __init__(self, registry: Registry, language: str) -> None:
        from sqlite3 import connect

        self._registry = registry
        self._assigned = list(every_line(registry.assignments))
        self._lines = self._assigned + list(every_line(registry.unofficial))
        self._stories = {ports[0]: [fields] for ports, fields in every_line(registry.main)}
        self._database = connect(":memory:", check_same_thread=False)
        self._database.execute(INDEX)
        self._database.executemany(
            "INSERT INTO documents (rowid, name, keywords, description, story) VALUES (?, ?, ?, ?, ?)",
            _documents(registry, self._lines, self._stories, language),
        )

    def close(self) -> None:
        """Give back the memory of the index."""
        self._database.close()

    def find(self, words: str, limit: int = 50) -> list[Service]:
        """Return the services that these words describe, as `search` tells."""
        matches: list[tuple[int, float]] = []
        for question in _questions(words):
            matches = matches or self._database.execute(MATCHES, (question,)).fetchall()
        ranked = []
        for place, score in matches:
            ports, fields = self._lines[place]
            main = any(story[2] == fields[2] for story in self._stories.get(ports[0], ()))
            weight = MAIN_WEIGHT if main else UNOFFICIAL_WEIGHT if place >= len(self._assigned) else 1
            # bm25 is the more negative the better.
            ranked.append((score * weight, place))
        found = dict.fromkeys(self._registry.named(" ".join(words.split())))
        for _, place in sorted(ranked):
            if len(found) >= limit:
                break
            ports, fields = self._lines[place]
            story = self._stories.get(ports[0], ())
            unofficial = place >= len(self._assigned)
            found.update(dict.fromkeys(services_of(ports[0], [fields], story, unofficial=unofficial)))
        return list(found)[:limit]


def search(registry: Registry, words: str, language: str, limit: int = 50) -> list[Service]:
    """Return the services that these words describe, best first: one for each transport, `limit` at most.

    What the words are the very name or alias of comes first. Then all words are required, the last as the
    beginning of a word; where nothing has them all, their endings may differ, and at last any of them will do.
    The texts about the main ports are searched in this language. Any text is a valid question.
    """
    if not _questions(words) or limit <= 0:
        return []
    from contextlib import closing

    with closing(Index(registry, language)) as index:
        return index.find(words, limit)


def _questions(words: str) -> list[str]:
    """Return what to ask FTS5 one after the other, until something matches, for these words.

    Only letters and digits of the words are kept, so nothing in them is an operator of FTS5.
    """
    import re
    from unicodedata import normalize

    kept = re.findall(r"[^\W_]+", normalize("NFC", words))[:MOST_WORDS]
    if not kept:
        return []
    # A last word that is whole counts twice, so it ranks above the words that only begin with it.
    whole = [*(f'"{word}"' for word in kept[:-1]), f'("{kept[-1]}" OR "{kept[-1]}" *)']
    begun = [f'"{word[:-1] if len(word) > 4 else word}" *' for word in kept]
    return [operator.join(terms) for operator in (" AND ", " OR ") for terms in (whole, begun)]


def _documents(
    registry: Registry,
    lines: list[tuple[range, list[str]]],
    stories: dict[int, list[list[str]]],
    language: str,
) -> Iterator[tuple[int, str, str, str, str]]:
    """Yield the number, name, keywords, description and story of each line that names or describes a service.

    Keywords are the aliases of the name, the category of an unofficial use and what main.tsv says a port is.
    """
    aliases: dict[str, list[str]] = {}
    for line in registry.aliases.decode().split("\n")[:-1]:
        alias, _, names = line.partition("\t")
        for name in names.split(","):
            aliases.setdefault(name, []).append(alias)
    texts = abouts(language)
    for place, (ports, fields) in enumerate(lines):
        _, _, name, description, *fifth = fields
        if not name:
            continue
        keywords = [*aliases.get(name, ()), *fifth]
        story = ""
        for _, _, main_name, what, *_ in stories.get(ports[0], ()):
            if main_name == name:
                text = texts[ports[0]]
                keywords.append(what)
                story = f"{text.purpose} {text.programs} {text.begins} {text.instead}"
        yield place, name, " ".join(keywords), description, story
