"""The few programs that a simulated container has, as plans of what they would do; nothing is ever run.

`true`, `false`, `echo`, `sleep N`, and `sh -c` with a sequence of these, `exit N`, `trap` and endless `while` loops.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

STDOUT, STDERR = 1, 2
NOT_FOUND = 127

_SHELLS = ("sh", "/bin/sh")
_SEPARATORS = (";", "&", "&&")
_FOREVER = 3600.0

Output = tuple[tuple[int, str], ...]


class NotSimulated(Exception):
    """The command is one that the simulator cannot imitate; its text says which."""


class ProgramNotFound(Exception):
    """The simulated image has no such program; its text is the engine's."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a command does: its output at once, then its end after `seconds` with `exit_code` (None: it never ends).

    `signals` holds what each trapped signal does: end with this code, or nothing (None).
    """

    output: Output = ()
    seconds: float = 0.0
    exit_code: int | None = 0
    signals: Mapping[str, int | None] = field(default_factory=dict)


def plan(argv: Sequence[str]) -> Plan:
    """Raise ProgramNotFound or NotSimulated."""
    try:
        return _plan(argv)
    except (ValueError, IndexError) as error:
        raise NotSimulated(f"not a command that is simulated ({error}): {shlex.join(argv)[:80]}") from error


def _plan(argv: Sequence[str]) -> Plan:
    if not argv:
        raise ProgramNotFound(_not_found(""))
    if argv[0] in _SHELLS and len(argv) == 3 and argv[1] == "-c":
        return _script(argv[2])
    run = _Run()
    if not run.step(list(argv)):
        raise ProgramNotFound(_not_found(argv[0]))
    return run.plan()


def main_process(argv: Sequence[str]) -> Plan:
    """The plan of a container's main process: what is not simulated runs until it is told to stop."""
    try:
        found = plan(argv)
    except (NotSimulated, ProgramNotFound):
        return Plan(exit_code=None, signals={"SIGTERM": 143, "SIGINT": 130})
    return found if found.seconds < _FOREVER else Plan(found.output, 0.0, None, found.signals)


def _script(text: str) -> Plan:
    run = _Run()
    for words in _statements(text):
        if run.ended:
            break
        if not run.step(words):
            run.output.append((STDERR, f"sh: {words[0]}: not found\n"))
            run.code = NOT_FOUND
    return run.plan()


def _statements(text: str) -> list[list[str]]:
    lexer = shlex.shlex(text, posix=True, punctuation_chars=";&|<>\n")
    lexer.whitespace, lexer.whitespace_split = " \t\r", True
    statements: list[list[str]] = [[]]
    for word in lexer:
        if word in _SEPARATORS or (word and set(word) <= {";", "\n"}):
            statements.append([])
        elif word and set(word) <= set("|<>"):
            raise NotSimulated(f"pipes and redirections are not simulated: {text[:80]!r}")
        else:
            statements[-1].append(word)
    return [words for words in statements if words]


class _Run:
    """The state of one command while its plan is made."""

    def __init__(self) -> None:
        self.output: list[tuple[int, str]] = []
        self.signals: dict[str, int | None] = {}
        self.seconds = 0.0
        self.code: int | None = 0
        self.ended = False

    def plan(self) -> Plan:
        return Plan(tuple(self.output), self.seconds, self.code, self.signals)

    def step(self, words: list[str]) -> bool:
        """Do one statement; False where its program does not exist."""
        name, *rest = words
        if name == "echo":
            self._echo(rest)
        elif name in ("true", ":", "wait"):
            self.code = 0
        elif name == "false":
            self.code = 1
        elif name == "sleep":
            self.seconds += float(rest[0]) if rest else 0.0
        elif name == "exit":
            self.code, self.ended = int(rest[0]) if rest else self.code, True
        elif name == "trap":
            self._trap(rest)
        elif name == "while":
            self.code, self.ended = None, True
        else:
            return False
        return True

    def _echo(self, words: list[str]) -> None:
        stream = STDOUT
        if words[-2:] == [">&", "2"]:
            stream, words = STDERR, words[:-2]
        self.output.append((stream, " ".join(words) + "\n"))
        self.code = 0

    def _trap(self, words: list[str]) -> None:
        action, *signals = words
        parts = action.split()
        code = int(parts[1]) if parts[:1] == ["exit"] and len(parts) > 1 else None
        for signal in signals:
            self.signals[f"SIG{signal.removeprefix('SIG')}"] = code


def _not_found(name: str) -> str:
    return (
        "OCI runtime exec failed: exec failed: unable to start container process: "
        f'exec: "{name}": executable file not found in $PATH: unknown'
    )
