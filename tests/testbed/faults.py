"""Commands of containers that work, and of containers that fail in a known way; and what breaks a working one.

A list is an argument vector, for a container's command or for `Containers.exec`.
"""

from __future__ import annotations

PORT = 8080

# Serves "ok" on PORT as a child of the main process, ends at once on TERM, and makes /tmp/ok anew at each start,
# so that a restart cures what the three `BREAK_` commands below do to it.
WEB = [
    "sh",
    "-c",
    f"trap 'exit 0' TERM; mkdir -p /www; echo ok >/www/index.html; touch /tmp/ok; httpd -f -p {PORT} -h /www & wait",
]
BREAK_HEALTH = ["rm", "-f", "/tmp/ok"]
BREAK_ANSWERS = ["killall", "-STOP", "httpd"]  # the port stays open, nothing answers
BREAK_PORT = ["killall", "-KILL", "httpd"]  # the port is closed, and the main process ends with 0
MEND_HEALTH = ["touch", "/tmp/ok"]

# HEALTHCHECK commands in the engine's form.
HEALTH_FILE = ["CMD-SHELL", "test -f /tmp/ok || { echo '/tmp/ok is missing'; exit 1; }"]
# `timeout`, because the option -T of Debian's static wget ends in a segmentation fault.
HEALTH_HTTP = [
    "CMD-SHELL",
    f"timeout 1 wget -q -O /dev/null http://127.0.0.1:{PORT}/ || {{ echo no answer; exit 1; }}",
]
HEALTH_NEVER = ["CMD-SHELL", "echo never healthy; exit 1"]

IDLE = ["sh", "-c", "trap 'exit 0' TERM; sleep 100000 & wait"]
IGNORES_TERM = ["sh", "-c", "trap '' TERM; while :; do sleep 1; done"]
HANG = ["nc", "-ll", "-p", str(PORT), "-e", "sleep", "100000"]  # accepts and says nothing
# Not at once: an engine may say of a run of less than a millisecond that it ended before it began.
CRASH = ["sh", "-c", "echo 'fatal: cannot open the ledger' >&2; sleep 0.05; exit 1"]
FINISHED = ["sh", "-c", "echo done"]
OUT_OF_MEMORY = ["tail", "/dev/zero"]  # needs a limit: OUT_OF_MEMORY_LIMITS
OUT_OF_MEMORY_LIMITS = {"mem_limit": "16m", "memswap_limit": "16m"}


def crash_once(code: int = 1) -> list[str]:
    """Ends with `code` at its first start; stays up at the following ones."""
    return [
        "sh",
        "-c",
        f"trap 'exit 0' TERM; test -e /once || {{ touch /once; exit {code}; }}; sleep 100000 & wait",
    ]


def exit_on_file(code: int = 1, path: str = "/tmp/end") -> list[str]:
    """Stays up until `path` appears, then removes it and ends with `code`."""
    return [
        "sh",
        "-c",
        f"trap 'exit 0' TERM; until test -e {path}; do sleep 0.1; done; rm {path}; exit {code}",
    ]


def oom_on_file(path: str = "/tmp/eat") -> list[str]:
    """Stays up until `path` appears, then removes it and eats memory as the main process."""
    return [
        "sh",
        "-c",
        f"trap 'exit 0' TERM; until test -e {path}; do sleep 0.1; done; rm {path}; exec tail /dev/zero",
    ]


def http_status(code: int, reason: str = "Status") -> list[str]:
    """Answers every request on PORT with an empty page of this status."""
    answer = f"printf 'HTTP/1.0 {code} {reason}\\r\\nContent-Length: 0\\r\\n\\r\\n'"
    return ["nc", "-ll", "-p", str(PORT), "-e", "sh", "-c", answer]
