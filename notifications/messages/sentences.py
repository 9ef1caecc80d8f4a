"""What an alert is about, in one sentence: as its writer put it in English, and made from tables in Chinese."""

from __future__ import annotations

from collections.abc import Mapping

from notifications.core.alert import Alert, Outcome
from notifications.messages.words import CHINESE, language_of

_FIRING: Mapping[str, str] = {
    "container_failed": "容器 {container} {failure}",
    "crash_loop": "容器 {container} 反复崩溃重启",
    "restart_failed": "容器 {container} 的修复操作失败",
    "quarantined": "容器 {container} 已被隔离：多次修复无效，不再自动修复",
    "dry_run": "演练模式：容器 {container} {failure}，未采取任何操作",
    "stopped_while_away": "容器 {container} 已停止，将不做处理",
    "cannot_look": "Selfheal 无法检查容器 {container}",
    "host_down": "主机 {host} 没有响应",
    "breaker_open": "{place}有大量容器同时故障",
    "approval_over": "{place}的修复批准已到期，故障仍在继续",
    "left_quarantined": "{place}的故障风暴已结束，仍有容器被隔离",
    "no_engine_answers": "所有容器引擎都没有响应，问题可能出在 Selfheal 自身",
    "own_container_failed": "Selfheal 自身的容器 {container} {failure}",
    "selfheal_silent": "Selfheal 的一个组件没有响应",
    "selfheal_overloaded": "Selfheal 过载",
    "queue_unserved": "有任务队列没有工作进程处理",
    "clock_skewed": "Selfheal 的一个进程时钟不准",
    "dead_letter": "队列中有无法处理的消息",
    "heals_break": "修复任务异常中断",
    "checks_break": "主机 {host} 的检查使工作进程终止",
    "channel_failing": "一个通知渠道无法发送",
}
_RESOLVED: Mapping[str, str] = {
    "container_failed": "容器 {container} 的故障已结束",
    "crash_loop": "容器 {container} 的故障已结束",
    "restart_failed": "容器 {container} 的故障已结束",
    "quarantined": "容器 {container} 已解除隔离",
    "dry_run": "演练模式：容器 {container} 的故障已结束",
    "cannot_look": "Selfheal 又可以检查容器 {container}",
    "host_down": "主机 {host} 已恢复响应",
    "breaker_open": "{place}的故障风暴已结束",
    "approval_over": "{place}的故障风暴已结束",
    "left_quarantined": "{place}已没有被隔离的容器",
    "no_engine_answers": "容器引擎已恢复响应",
    "own_container_failed": "Selfheal 自身的容器 {container} 的故障已结束",
    "selfheal_silent": "Selfheal 的组件已恢复响应",
    "selfheal_overloaded": "Selfheal 不再过载",
    "queue_unserved": "任务队列已恢复处理，或不再需要",
    "clock_skewed": "Selfheal 的进程时钟已恢复准确",
    "dead_letter": "队列中不再有无法处理的消息",
    "heals_break": "修复任务不再中断",
    "checks_break": "检查不再使工作进程终止",
    "channel_failing": "通知渠道已恢复发送",
}

_ENDED: Mapping[Outcome, str] = {
    Outcome.HEALED_AT_FIRST: "容器 {container} 首次修复即恢复正常",
    Outcome.HEALED: "容器 {container} 经自动修复恢复正常",
    Outcome.RECOVERED: "容器 {container} 已自行恢复正常",
    Outcome.GONE: "容器 {container} 已被移除",
}
_STATES: Mapping[str, str] = {
    "health_check_failed": "健康检查失败",
    "container_stopped": "已停止运行",
    "container_error": "运行异常",
    "restart_limit_exceeded": "重启次数已达上限",
    "restart_failed": "重启失败",
    "auto_restart": "已自动重启",
}
_GAVE_UP = "容器 {container} {failure}，Selfheal 不再自动修复"
_FAILURES = frozenset({"", "container_failed", "crash_loop", "restart_failed", "own_container_failed"})
_SAYS_MORE = frozenset(
    {
        "approval_over",
        "breaker_open",
        "channel_failing",
        "clock_skewed",
        "dead_letter",
        "heals_break",
        "left_quarantined",
        "queue_unserved",
        "selfheal_silent",
    }
)
"""What their titles name (a part, a queue, a number) is in no field of the alert."""


def sentence(alert: Alert, language: str) -> str:
    """The alert's own title, or in Chinese what the tables make of its name, its failure and its outcome."""
    if language_of(language) != CHINESE:
        return alert.title
    pattern = _pattern(alert)
    if not pattern:
        return alert.title
    made = pattern.format(**_names(alert))
    return f"{made}（{alert.title}）" if _says_more(alert) else made


def _says_more(alert: Alert) -> bool:
    """Whether the English title tells what the tables cannot: which part or queue, or who ended a failure."""
    is_ended_by_somebody = not alert.is_firing and alert.alertname in _FAILURES and not alert.outcome
    return alert.alertname in _SAYS_MORE or is_ended_by_somebody


def _pattern(alert: Alert) -> str:
    """Empty where the tables know nothing, or where what they would name is not known."""
    pattern = _by_outcome(alert)
    if not pattern:
        pattern = (_FIRING if alert.is_firing else _RESOLVED).get(alert.alertname, "")
    if not pattern and alert.is_firing and alert.failure_type in _STATES:
        pattern = _FIRING["container_failed"]
    missing = ("{container}" in pattern and not alert.container) or ("{host}" in pattern and not alert.host)
    return "" if missing else pattern


def _by_outcome(alert: Alert) -> str:
    if alert.is_firing and alert.outcome is Outcome.GAVE_UP:
        return _GAVE_UP if alert.alertname in _FAILURES else ""
    is_about_failure = alert.alertname in _FAILURES or alert.alertname == "quarantined"
    if alert.outcome is Outcome.GONE and not is_about_failure and not alert.is_firing:
        return f"{'容器 {container}' if alert.container else '主机 {host}'} 已移除，或不再监控"
    return _ENDED.get(alert.outcome, "") if is_about_failure else ""


def _names(alert: Alert) -> dict[str, str]:
    return {
        "container": alert.container,
        "host": alert.host,
        "place": f"主机 {alert.host} " if alert.host else "多台主机",
        "failure": _STATES.get(alert.failure_type, "发生故障"),
    }
