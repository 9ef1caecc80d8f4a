"""Which HTML a template for e-mail may hold: what mail programs show, and nothing that runs or loads."""

from __future__ import annotations

import re
from html.parser import HTMLParser

from notifications.core.errors import ConfigError

_TAGS = (
    "a b big blockquote body br code dd div dl dt em font h1 h2 h3 h4 head hr html i li meta ol p pre s small span strong "
    "sub sup table tbody td tfoot th thead title tr u ul center"
)
TAGS = frozenset(_TAGS.split())
_ATTRIBUTES = (
    "align bgcolor border cellpadding cellspacing charset class colspan content dir height href lang name role rowspan "
    "style title valign width"
)
ATTRIBUTES = frozenset(_ATTRIBUTES.split())
_HOLE, _BLOCK_HOLE = "\ufffc", "\ufffb"
"""Stand where a template puts out a value, and where it has a block tag."""
_VALUE = re.compile(r"\{\{(.*?)\}\}")
_BLOCK = re.compile(r"\{%.*?%\}|\{#.*?#\}")
_LOADS = re.compile(r"url\s*\(|expression|import|\\|/\*", re.IGNORECASE)
_ADDRESS = re.compile(r"https?://|mailto:|#")
_LINKS = re.compile(r"link|[\w.]+\.(?:link|url)")
"""Values that hold an address of a page or nothing, whatever happens."""
_MADE_UP_NAME = re.compile(f"<[/!?]?[{_HOLE}{_BLOCK_HOLE}]")


def refuse_markup(source: str, kind: str, bound: set[str]) -> None:
    """Raise ConfigError at the line of what is not allowed. `bound`: the names that the template gives to values itself."""

    def stand_in(hole: re.Match[str]) -> str:
        name = hole[1].strip()
        if name == "colour" and name not in bound:
            return "#000000"
        return "https://" if _LINKS.fullmatch(name) and name not in bound else _HOLE

    held = _BLOCK.sub(_BLOCK_HOLE, _VALUE.sub(stand_in, source))
    for number, line in enumerate(held.split("\n"), 1):
        if _MADE_UP_NAME.search(line):
            raise ConfigError(
                kind, f"line {number}: write the name of the element out, not as a value; for < write &lt;"
            )
    checker = _Checker(kind)
    checker.feed(held)
    checker.close()


class _Checker(HTMLParser):
    def __init__(self, kind: str) -> None:
        super().__init__(convert_charrefs=True)
        self.kind = kind

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in TAGS:
            self.refuse(f"the element <{_shown(tag)}> is not allowed; use {', '.join(sorted(TAGS))}")
        for name, value in attrs:
            self.check(tag, name, value or "")

    def handle_comment(self, data: str) -> None:
        self.refuse("<!…> is not allowed; for a comment use {% comment %} … {% endcomment %}")

    def handle_decl(self, decl: str) -> None:
        if decl.lower() != "doctype html":
            self.refuse("only <!doctype html> may begin with <!")

    def unknown_decl(self, data: str) -> None:
        self.refuse("only <!doctype html> may begin with <!")

    def handle_pi(self, data: str) -> None:
        self.refuse("<?…> is not allowed")

    def check(self, tag: str, name: str, value: str) -> None:
        if name not in ATTRIBUTES:
            self.refuse(f"the attribute {_shown(name)} is not allowed; use {', '.join(sorted(ATTRIBUTES))}")
        if _HOLE in value and not self.is_quoted(name):
            self.refuse(f'put quotes around the value of {name}: {name}="…"')
        if name == "href" and not _ADDRESS.match(value.strip()):
            self.refuse(
                "href must begin with https://, http:// or mailto:, or be {{ link }} or the url of one of links"
            )
        if name == "style" and _HOLE in value:
            self.refuse(
                "the only value that a style may hold is {{ colour }}: others come from what containers say"
            )
        if name == "style" and _LOADS.search(value.replace(_BLOCK_HOLE, "")):
            self.refuse("a style may not load anything")

    def is_quoted(self, name: str) -> bool:
        written = self.get_starttag_text() or ""
        return re.search(rf"{re.escape(name)}\s*=\s*[\"']", written, re.IGNORECASE) is not None

    def refuse(self, reason: str) -> None:
        raise ConfigError(self.kind, f"line {self.getpos()[0]}: {reason}")


def _shown(name: str) -> str:
    return name.replace(_HOLE, "{{…}}").replace(_BLOCK_HOLE, "{%…%}")
