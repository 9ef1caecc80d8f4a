"""The words of each language: levels, outcomes, failures, durations, counts. What is not in a table stays as it is."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

ENGLISH = "en"
CHINESE = "zh-hans"
LANGUAGES = (ENGLISH, CHINESE)
UNKNOWN_TIME = "–"

_COLOURS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_UNITS = (86_400, 3_600, 60, 1)


@dataclass(frozen=True, slots=True)
class Words:
    """One language. Each method gives the word for what the pipeline writes in English."""

    levels: Mapping[str, str]
    statuses: Mapping[str, str]
    outcomes: Mapping[str, str]
    failures: Mapping[str, str]
    actions: Mapping[str, str]
    results: Mapping[str, str]
    links: Mapping[str, str]
    mutes: Mapping[str, str]
    reasons: tuple[tuple[str, str], ...]
    units: tuple[str, str, str, str]
    milliseconds: str
    counted: tuple[str, str]
    comma: str
    semicolon: str

    def of(self, table: Mapping[str, str], word: str) -> str:
        return table.get(word, word.replace("_", " "))

    def duration(self, seconds: float | None) -> str:
        """The two largest units: `850 ms`, `12 s`, `4 min 10 s`, `3 d 4 h`; a dash where it is not known."""
        if seconds is None or seconds != seconds or abs(seconds) == float("inf"):
            return UNKNOWN_TIME
        seconds = max(0.0, seconds)
        if 0 < seconds < 1:
            return f"{max(1, round(seconds * 1000))} {self.milliseconds}"
        rest, parts = round(seconds), []
        for size, unit in zip(_UNITS, self.units, strict=True):
            number, rest = divmod(rest, size)
            parts.append(f"{number} {unit}" if number else "")
        first = next((place for place, part in enumerate(parts) if part), len(parts) - 1)
        return " ".join(part for part in parts[first : first + 2] if part) or f"0 {self.units[-1]}"

    def counts(self, firing: int, resolved: int) -> str:
        """`3 firing, 2 resolved`, without what is none."""
        numbers = zip((firing, resolved), self.counted, strict=True)
        return self.comma.join(word.format(f"{number:,}") for number, word in numbers if number)

    def reason(self, reason: str) -> str:
        """Why a message is sent, as far as its words are known."""
        for pattern, instead in self.reasons:
            reason = re.sub(pattern, instead, reason)
        return reason

    def muted(self, reason: str) -> str:
        return self.mutes.get(reason, reason)

    def link(self, action: str, label: str) -> str:
        """The label, but in this language where it was written in English."""
        return self.links.get(label.lower()) or (self.links.get(action, label) if label.isascii() else label)


_ENGLISH = Words(
    levels={"info": "INFO", "warning": "WARNING", "error": "ERROR", "critical": "CRITICAL"},
    statuses={"firing": "FIRING", "resolved": "RESOLVED"},
    outcomes={
        "healed_at_first": "healed at the first attempt",
        "healed": "healed",
        "recovered": "recovered by itself",
        "gave_up": "Selfheal does no more about it",
        "gone": "the container was removed",
    },
    failures={},
    actions={},
    results={
        "succeeded": "worked",
        "success": "worked",
        "failed": "did not help",
        "withdrawn": "not done",
        "intended": "under way",
        "called": "under way",
        "verifying": "being verified",
        "pending": "under way",
    },
    links={},
    mutes={
        "dependency": "something it depends on failed too",
        "interval": "outside of the times for telling",
        "held": "kept for the digest",
        "merged": "told together with others",
        "skipped": "nobody was to be told",
        "failed": "could not be sent",
        "limited": "over a channel's limit",
    },
    reasons=(),
    units=("d", "h", "min", "s"),
    milliseconds="ms",
    counted=("{} firing", "{} resolved"),
    comma=", ",
    semicolon="; ",
)

_CHINESE = Words(
    levels={"info": "信息", "warning": "警告", "error": "错误", "critical": "严重"},
    statuses={"firing": "告警中", "resolved": "已恢复"},
    outcomes={
        "healed_at_first": "首次修复即成功",
        "healed": "已自动修复",
        "recovered": "已自行恢复",
        "gave_up": "Selfheal 不再自动修复",
        "gone": "容器已被移除",
    },
    failures={
        "health_check_failed": "健康检查失败",
        "container_stopped": "容器已停止",
        "container_error": "容器异常",
        "restart_limit_exceeded": "重启次数已达上限",
        "restart_failed": "重启失败",
        "auto_restart": "已自动重启",
    },
    actions={"restart": "重启", "recreate": "重建", "start": "启动", "alert": "仅告警", "none": "未采取措施"},
    results={
        "succeeded": "成功",
        "success": "成功",
        "failed": "无效",
        "withdrawn": "未执行",
        "intended": "进行中",
        "called": "进行中",
        "verifying": "验证中",
        "pending": "进行中",
    },
    links={
        "ack": "确认",
        "silence": "静默",
        "approve": "批准",
        "reject": "拒绝",
        "open": "打开",
        "silence for 1 h": "静默 1 小时",
    },
    mutes={
        "silence": "静默规则",
        "inhibition": "抑制规则",
        "dependency": "所依赖的对象故障",
        "interval": "不在通知时段",
        "maintenance": "维护窗口",
        "held": "留待摘要",
        "muted": "已静音",
        "merged": "合并发送",
        "skipped": "无人需要通知",
        "failed": "发送失败",
        "limited": "超出频率限制",
        "acknowledged": "已确认",
    },
    reasons=(
        (r"^flapping, ", "反复抖动，"),
        (r"\b(\d+) times in ([\d.]+) min\b", r"\2 分钟内 \1 次"),
        (r"^new alerts fire$", "有新告警"),
        (r"^some resolved$", "部分已恢复"),
        (r"^came and went before the group's turn$", "在通知之前已发生并恢复"),
        (r"^unchanged, repeated after (\d+) d$", r"状态未变，\1 天后重复提醒"),
        (r"^unchanged, repeated after (\d+) h$", r"状态未变，\1 小时后重复提醒"),
        (r"^unchanged, repeated after (\d+) min$", r"状态未变，\1 分钟后重复提醒"),
        (r"^unchanged, repeated after (\d+) s$", r"状态未变，\1 秒后重复提醒"),
        (r"^not acknowledged within ([\d.]+) min$", r"\1 分钟内无人确认"),
        (
            r"^summary of (\d+) messages over the limit of (\d+) in (\d+) s$",
            r"汇总 \1 条消息：超出 \3 秒 \2 条的频率限制",
        ),
    ),
    units=("天", "小时", "分", "秒"),
    milliseconds="毫秒",
    counted=("{} 条告警中", "{} 条已恢复"),
    comma="，",
    semicolon="；",
)


def language_of(name: str) -> str:
    """One of LANGUAGES: Chinese for whatever begins with `zh`, else English."""
    return CHINESE if name.lower().startswith("zh") else ENGLISH


def words_of(language: str) -> Words:
    return _CHINESE if language_of(language) == CHINESE else _ENGLISH


def parsed_time(value: Any) -> datetime | None:
    """From ISO 8601; without a zone it is UTC. None where it is no time."""
    if not isinstance(value, str):
        return None
    try:
        at = datetime.fromisoformat(value)
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def moment(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def day(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d}"


def plain(text: str) -> str:
    """Without colours of a terminal; characters that hide or reorder what is read become visible."""
    if text.isprintable():
        return text
    text = _COLOURS.sub("", text.replace("\r\n", "\n"))
    return "".join(
        c if c in "\n\t" or unicodedata.category(c) not in ("Cc", "Cf", "Cs") else f"\\u{ord(c):04x}"
        for c in text
    )


def one_line(text: str, limit: int) -> str:
    """For a title: no line end, no control character, no longer than `limit`."""
    line = " ".join(plain(text).split())
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"
