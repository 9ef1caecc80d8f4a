"""Testing the connection to an engine: of hosts that are saved, and of what somebody has only typed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from healing.admin.looks import ModelForm
from healing.core.errors import ConfigError, PluginError
from healing.core.ports import EngineConfig
from healing.core.types import EngineInfo
from healing.core.wording import duration, visible
from healing.engines import introduced, open_engine
from healing.models import Host
from healing.pipeline.engines import config_of

FIELDS = ("engine_kind", "address", "tls_ca", "tls_cert", "tls_key", "tls_verify")
"""The fields of a host that say how its engine is connected to."""
TIMEOUT = 5.0
_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a test: who answered and after how many seconds, or why it failed and what to do."""

    text: str
    info: EngineInfo | None = None
    latency: float | None = None


class ConnectionForm(ModelForm):
    """Says at the field what is wrong with an address or a TLS file; connects to nothing."""

    class Meta:
        model = Host
        fields: Sequence[str] | None = FIELDS

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        if "address" not in cleaned or "engine_kind" not in cleaned:
            return cleaned
        try:
            open_engine(config_of(draft_of(cleaned))).close()
        except ConfigError as error:
            field = {"kind": "engine_kind"}.get(error.field, error.field)
            self.add_error(field if field in self.fields else "address", error.reason)
        return cleaned


def draft_of(values: dict[str, Any]) -> Host:
    """A host that is not saved, with what these values say of its connection."""
    return Host(**{name: values[name] for name in FIELDS if name in values})


def ask(config: EngineConfig) -> Answer:
    """Ask an engine who it is; nothing is changed on it. Raises nothing, and takes a few seconds at the most."""
    try:
        engine = open_engine(config)
        try:
            info, latency = introduced(engine)
        finally:
            engine.close()
    except (PluginError, ConfigError) as error:
        return Answer(" ".join(str(error).split()))
    api = f" (API {info.api_version})" if info.api_version else ""
    name = f" on {info.name}" if info.name else ""
    text = (
        f"{info.kind} {info.version}{api}{name} answered in {duration(latency)}, {info.containers} containers"
    )
    return Answer(text, info, latency)


def ask_all(hosts: Iterable[Host]) -> list[Answer]:
    """Ask many at once; the answers in the order of the hosts."""
    configs = [config_of(host, TIMEOUT) for host in hosts]
    with ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
        return list(pool.map(ask, configs))


def ask_typed(request: HttpRequest) -> SafeString:
    """Test what was typed into a host's form and is not saved; the answer as HTML, also where a field is wrong."""
    form = ConnectionForm(request.POST)
    if not form.is_valid():
        rows = [
            (form.fields[name].label or name, " ".join(map(str, texts)))
            for name, texts in form.errors.items()
        ]
        return format_html_join("", '<p class="sh-answer sh-bad">{}: {}</p>', rows)
    answer = ask(config_of(draft_of(form.cleaned_data), TIMEOUT))
    colour = "sh-good" if answer.info else "sh-bad"
    return format_html('<p class="sh-answer {}">{}</p>', colour, visible(answer.text))
