"""Templates are written by people in the admin: none of them can hang, grow, read, change or inject anything."""

from __future__ import annotations

import copy
import logging
import time
import tracemalloc
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from django.utils.safestring import mark_safe

from notifications.core.alert import Alert, AlertLevel, Link, Message
from notifications.core.errors import ConfigError
from notifications.messages import KINDS, LANGUAGES, check_template, preview, render, sample_message, sandbox
from notifications.messages.texts import built_in

NOW = datetime(2026, 3, 1, 3, 12, 45, tzinfo=UTC)
URL = "https://selfheal.example.org"
DATA: dict[str, Any] = {
    "title": "shop-web-1 <b>failed</b>",
    "lines": ["a<b", "c&d"],
    "labels": {"team": "shop", "get": "a label"},
    "many": ["x"] * 100_000,
    "long": "y" * 16_000,
    "since": "2026-03-01T03:08:35+00:00",
    "count": 1960,
    "nothing": None,
}


def made(source: str, kind: str = "body", limit: int = 20_000, data: dict[str, Any] | None = None) -> str:
    return sandbox.run(source, kind, data or DATA, language="en", limit=limit, now=NOW)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("kind", KINDS)
def test_the_built_in_templates_keep_the_rules_themselves(language: str, kind: str) -> None:
    """Whoever begins from a copy of a built-in template can save it."""
    source = built_in(language, kind)
    assert source.strip()
    check_template(source, kind)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("{{ title|upper }}", "SHOP-WEB-1 <B>FAILED</B>"),
        ("{{ title|truncatechars:6 }}", "shop-…"),
        ("{{ lines|join:'; ' }} {{ lines|length }}", "a<b; c&d 2"),
        ("{{ lines|first }} {{ lines.1 }} {{ lines.7 }}{{ lines.x }}", "a<b c&d "),
        ("{{ lines|head:1|join:'' }}{{ lines|tail:1|join:'' }}{{ lines|tail:9|length }}", "a<bc&d2"),
        ("{{ nothing|default:'none' }}{{ missing }}{{ nothing }}", "none"),
        ("{{ labels.team }} {{ labels.get }} {{ labels.keys }}", "shop a label "),
        (
            "{% for name, value in labels.items %}{{ name }}={{ value }};{% endfor %}",
            "team=shop;get=a label;",
        ),
        (
            "{{ since|time }} {{ since|date }} {{ since|clock }}",
            "2026-03-01 03:08:35 UTC 2026-03-01 03:08:35",
        ),
        ("{{ since|timesince }} {{ 90|duration }} {{ title|time }}", "4 min 10 s 1 min 30 s –"),
        ("{{ count|number }} {{ 1.5 }} {{ True }}", "1,960 1.5 true"),
        ("{% if count > 3 and not missing %}yes{% elif count %}no{% endif %}", "yes"),
        ("{% for line in title %}x{% empty %}none{% endfor %}", "none"),
        ("{% with a=lines.0 %}{{ a }}{% endwith %}{# gone #}{% comment %}{{ a }}{% endcomment %}", "a<b"),
        ("{% if count %}\n  kept\n{% endif %}\nend", "  kept\nend"),
    ],
)
def test_what_templates_can_do(source: str, expected: str) -> None:
    """The documented tags and filters work, and lines of tags alone leave no empty lines."""
    assert made(source) == expected


@pytest.mark.parametrize(
    "source",
    [
        "{{ title.__class__.__mro__ }}",
        "{{ title.upper }}{{ title.split }}{{ lines.pop }}{{ lines.clear }}{{ labels.clear }}{{ labels.popitem }}",
        "{{ forloop.parentloop }}{{ lines.append }}{{ labels.values }}{{ settings.SECRET_KEY }}{{ self }}{{ dicts }}",
    ],
)
def test_nothing_but_entries_is_reached(source: str) -> None:
    """No attribute is read and no method called, so that nothing leaks and the message is not changed under way."""
    before = copy.deepcopy(DATA)
    try:
        assert made(source) == ""
    except ConfigError as error:
        assert "underscore" in error.reason
    assert before == DATA


OTHER_TAGS = (
    "include extends load debug lorem ssi url now widthratio cycle filter autoescape verbatim csrf_token regroup "
    "templatetag firstof ifchanged block trans querystring"
)
OTHER_FILTERS = (
    "safe center ljust rjust add stringformat pprint slice random dictsort floatformat wordwrap safeseq"
)


@pytest.mark.parametrize("tag", OTHER_TAGS.split())
def test_other_tags_are_refused_with_what_is_allowed(tag: str) -> None:
    """Files, settings, other templates and endless text are out of reach; the answer names line and remedy."""
    with pytest.raises(ConfigError) as caught:
        check_template(f"fine\n{{% {tag} 'x' %}}", "body")
    assert caught.value.field == "body"
    assert f"line 2: the tag {{% {tag} %}} is not allowed; use comment, for, if, with" in caught.value.reason


@pytest.mark.parametrize("name", OTHER_FILTERS.split())
def test_other_filters_are_refused_with_what_is_allowed(name: str) -> None:
    """No filter switches escaping off, and none makes text of a length that the template chooses."""
    with pytest.raises(ConfigError) as caught:
        check_template(f"one\ntwo {{{{ title|{name}:9999999 }}}}", "body")
    assert f"line 2: the filter '{name}' is not allowed; use clock, date, default" in caught.value.reason


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("{{ title.__class__ }}", "line 1: Variables and attributes may not begin with underscores"),
        ("\n{{ contianer }}", "line 2: there is no variable 'contianer'; there are alert, badge"),
        ("{% if title %}", "Unclosed tag on line 1: 'if'"),
        ("a\n{% endif %}", "line 2: {% endif %} has no place here"),
        ("{{ title|default:_('x') }}", "_(…) is not allowed"),
        ("{{ _('x') }}", "_(…) is not allowed"),
        ("{{ }}", "line 1: Empty variable tag"),
        ("{{ title|truncatechars }}", "truncatechars requires 2 arguments"),
        ("{% for a in links %}" * 3 + "{% endfor %}" * 3, "line 1: at most 2 loops within each other"),
        (
            "\n".join(["{% if title %}"] * 13 + ["{% endif %}"] * 13),
            "line 13: at most 12 blocks within each other",
        ),
        ("{% if title %}\n" * 390 + "{% endif %}\n" * 300, "at most 12 blocks within each other"),
        ("{% if " + "not " * 80 + "title %}{% endif %}", "one tag has at most 300 characters"),
        ("{% for a, b in links %}{% endfor %}", "cannot be rendered: Need 2 values to unpack"),
        ("x" * 10_001, "has 10,001 characters; at most 10,000"),
        ("ok\n" + "x" * 1_001, "line 2: has more than 1,000 characters"),
        ("{% with self=title %}{{ self }}{% endwith %}", "cannot be rendered"),
    ],
)
def test_faults_are_told_with_their_line(source: str, reason: str) -> None:
    """A person who has made a mistake finds it."""
    with pytest.raises(ConfigError) as caught:
        check_template(source, "body")
    assert reason in caught.value.reason


DOUBLING = "".join("{% with a=a|join:a b=a|upper %}{{ a }}" for _ in range(11)) + "{% endwith %}" * 11
HOSTILE = [
    "{% for a in many %}{% for b in many %}{% endfor %}{% endfor %}",
    "{% for a in many %}{% for b in many %}{{ a }}{% endfor %}{% endfor %}",
    "{% for a in lines %}{% for b in many %}{{ long }}{% endfor %}{% endfor %}",
    "{{ many|join:long }}",
    "{% with a=many|join:long %}" + "{{ a|upper|linebreaks|escape }}\n" * 300 + "{% endwith %}",
    "{{ long" + "|upper" * 45 + " }}",
    "{{ long|linebreaks" * 1 + "|escape|upper" * 20 + " }}",
    "{% with a=many %}" + DOUBLING + "{% endwith %}",
    "\n".join("{% if long in long and many == many %}{{ many }}{% endif %}" for _ in range(160)),
    "{% for a in many %}{% if many == many or many and many %}{% endif %}{% endfor %}",
    "\n".join("{{ long }}" for _ in range(900)),
    "\n".join("{% with x=long y=long %}{% endwith %}" for _ in range(250)),
    ("{%" * 499 + "\n") * 10,
    ("{{" * 499 + "\n") * 10,
    "{{ 1e999 }}{{ "
    + "9" * 250
    + "|number }}{{ lines|head:1e999 }}{{ lines|tail:-5 }}{{ title|truncatechars:long }}",
]


@pytest.mark.parametrize("kind", ["body", "html"])
@pytest.mark.parametrize("source", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_templates_end_soon_and_small(source: str, kind: str) -> None:
    """Loops within loops over 100,000 entries, doubling strings and filter chains cost about as much as any template."""
    before = time.process_time()
    try:
        assert len(made(source, kind)) <= 20_001
    except ConfigError as error:
        assert "more than 60,000 steps" in error.reason or "within each other" in error.reason
    assert time.process_time() - before < 3


def test_work_within_conditions_counts() -> None:
    """Django takes an error within {% if %} for "no"; the limit is kept all the same."""
    with pytest.raises(ConfigError, match="60,000 steps"):
        made("{% if many and many %}a{% endif %}")


def test_a_long_join_is_not_made_before_it_is_cut() -> None:
    """A separator of 16,000 characters between 5,000 entries would be 80 MB."""
    tracemalloc.start()
    text = made("{{ some|join:long }}", data={"some": ["x"] * 5_000, "long": DATA["long"]})
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(text) < 20_000 and peak < 5_000_000


def test_output_is_cut_while_rendering() -> None:
    """Text beyond the limit is not made at all; in HTML no half tag is left."""
    assert made("{{ long }}", limit=100) == "y" * 100 + "…"
    assert made('<p>{{ lines|first }}</p><a href="x">', "html", limit=20) == "<p>a&lt;b</p>…"
    assert made("{% for a in lines %}12345{% endfor %}", limit=10) == "1234512345"


@pytest.mark.parametrize(
    "source",
    [
        "{{ title }}",
        "{{ title|lower|default:'x' }}",
        "{% with t=title %}{{ t|linebreaks }}{% endwith %}",
        "{{ '<b>'|lower }}",
        "{{ '<b>' }}",
        "{{ missing|default:'<b>' }}",
        "{{ lines|join:'<b>' }}",
        "{{ lines|join:title }}",
        "{{ title|escape|upper|linebreaks }}",
        "{{ lines }}",
        "{% for a in lines %}{{ a|first|default:a }}{% endfor %}",
    ],
)
def test_html_is_escaped_on_every_way(source: str) -> None:
    """Neither what a container says nor a literal becomes markup."""
    data = {**DATA, "title": mark_safe("<b>x</b>")}
    assert "<b" not in made(source, "html", data=data).lower()
    assert "&" in made(source, "html", data=data)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("<p>\n<script>alert(1)</script>", "line 2: the element <script> is not allowed"),
        ("<img src='https://example.org/x.png'>", "the element <img> is not allowed"),
        ("<p onclick='x()'>", "the attribute onclick is not allowed"),
        ("<td title={{ title }}>", 'put quotes around the value of title: title="…"'),
        ("<a href='javascript:x()'>", "href must begin with https://"),
        ("<a href='{{ alert.container }}'>", "href must begin with https://"),
        ("<a href='{% if count %}https://{% endif %}javascript:x()'>", "href must begin with https://"),
        ("{% with link=title %}<a href='{{ link }}'>x</a>{% endwith %}", "href must begin with https://"),
        (
            "{% for link in alert.log_tail %}<a href='{{ link }}'>x</a>{% endfor %}",
            "href must begin with https://",
        ),
        ("<{{ title }}>", "write the name of the element out"),
        ("<{% if count %}script{% endif %}>", "write the name of the element out"),
        ("<scr{{ title }}ipt>", "is not allowed"),
        ("<td {{ title }}>", "the attribute {{…}} is not allowed"),
        ("<td style='background:url(https://example.org)'>", "a style may not load anything"),
        ("<td style='background:ur{% if count %}l({% endif %}x)'>", "a style may not load anything"),
        ("<!--><b>-->", "<!…> is not allowed"),
        ("<!entity x>", "<!…> is not allowed"),
        ("<!doctype svg>", "only <!doctype html>"),
        ("<?php ?>", "<?…> is not allowed"),
    ],
)
def test_markup_that_runs_or_loads_is_refused(source: str, reason: str) -> None:
    """The page that previews a template, and mail programs, are shown nothing but text and its looks."""
    with pytest.raises(ConfigError) as caught:
        check_template(source, "html")
    assert reason in caught.value.reason


def test_links_and_looks_are_allowed() -> None:
    """What a mail needs can be written."""
    source = (
        '<!doctype html><p style="color:{{ colour }}"><a href="{{ link }}">x</a>'
        '{% for each in links %}<a href="{{ each.url }}">{{ each.label }}</a>{% endfor %}</p>'
    )
    assert f'href="{URL}/admin/healing/failurerecord/1/change/"' in preview(source, "html", "en")


def test_kinds_are_known() -> None:
    """A template for what no message has is refused."""
    with pytest.raises(ConfigError, match="title, body, html"):
        check_template("x", "subject")


def hostile_message() -> Message:
    evil = '"><script>alert(1)</script>\r\nBcc: everybody@example.org\x1b[2J\u202e'
    alert = Alert(
        level=AlertLevel.ERROR,
        title=f"{evil} failed\r\nX-Header: 1\x00\x07",
        body=evil,
        host=evil,
        project=evil,
        container=evil,
        alertname="container_failed",
        failure_type=evil,
        labels={evil: evil},
        details={
            "since": evil,
            "cause": evil,
            "log_tail": [evil, {"a": evil}, None, 5],
            "health_output": evil,
            "tried": [{"action": evil, "at": evil, "result": evil, "seconds": evil, "why": evil}, evil],
            "next": {"not": "a text"},
            "path": "/x\"onmouseover='y",
        },
    )
    links = (
        Link("ack", evil, f"{URL}/x?a='\"><script>"),
        Link("ack", evil, f"{URL}/y?a='&b"),
        Link("open", "x", "javascript:alert(1)"),
    )
    return Message("1", NOW, alert, group_labels={evil: evil}, receiver=evil, reason=evil, links=links)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_container_cannot_inject_anything(language: str) -> None:
    """Names and log lines stay text: no markup, no second header, no terminal tricks, no other link."""
    text = render(hostile_message(), language, None, URL, now=NOW)
    assert text.title.isprintable()
    assert "\n" not in text.title and "Bcc" in text.title
    assert "<script" not in text.html and "javascript:" not in text.html
    assert "&lt;script&gt;" in text.html
    assert not any(character in text.body + text.html for character in "\x1b\u202e\r\x07")
    assert "onmouseover" not in text.html and "/x?a=" not in text.html and "/y?a=&#x27;&amp;b" in text.html


def test_a_title_is_one_line_whatever_its_template_says() -> None:
    """A template with line ends makes no second header of the mail."""
    text = render(
        sample_message("en"), "en", {"title": "a\r\nBcc: x@example.org\n\n{{ title }}\t!"}, URL, now=NOW
    )
    assert text.title.startswith("a Bcc: x@example.org shop-web-1 is")
    assert text.title.isprintable()
    assert len(render(sample_message("en"), "en", {"title": "x" * 999}, URL, now=NOW).title) == 300


@pytest.mark.parametrize(
    "source",
    ["{% include 'x' %}", "{{ title", "{% for a in alert.log_tail %}", "{% for a, b in links %}{% endfor %}"],
)
def test_a_broken_template_loses_no_message(source: str, caplog: pytest.LogCaptureFixture) -> None:
    """The built-in words speak instead, the other overrides stay, and the log says so."""
    message = sample_message("en")
    plain = render(message, "en", None, URL, now=NOW)
    with caplog.at_level(logging.WARNING):
        text = render(message, "en", {"body": source, "title": "own {{ count }}"}, URL, now=NOW)
    if source == "{{ title":  # to Django, text
        assert text.body == source
        return
    assert text == replace(plain, title="own 3")
    assert [record.__dict__["action"] for record in caplog.records] == ["template_failed"]


def test_an_empty_title_is_no_title(caplog: pytest.LogCaptureFixture) -> None:
    """A mail without a subject is not sent because a condition was never true."""
    text = render(sample_message("en"), "en", {"title": "{% if missing %}x{% endif %}"}, URL, now=NOW)
    assert text.title.startswith("[CRITICAL]")
    assert "empty title" in caplog.text


def test_details_of_any_shape_make_a_message() -> None:
    """What healing writes into the details is not trusted either: every shape of JSON gives a message."""
    shapes: list[Any] = [
        None,
        0,
        -1.5,
        True,
        "x",
        [],
        {},
        [[["x"]]],
        {"a": [1]},
        [None, 1, {"b": 2}],
        "9" * 20_000,
    ]
    names = (
        "since",
        "ended",
        "seconds",
        "cause",
        "evidence",
        "log_tail",
        "health_output",
        "tried",
        "next",
        "path",
    )
    for shape in shapes:
        details = dict.fromkeys(names, shape)
        for kind in ("firing", "resolved"):
            alert = Alert(AlertLevel.ERROR, "It failed", kind=kind, details=details)  # type: ignore[arg-type]
            text = render(Message("1", NOW, alert), "en", None, URL, now=NOW)
            assert "It failed" in text.title and text.html
