"""Templates that people write in the admin: whatever stands in them, rendering ends soon, changes nothing and reads
nothing but the data it was given.

Django's engine without loaders, with the tags and filters of `library` only. A variable leads to entries of dicts and
lists, never to attributes or calls. All work is counted and the output is collected piece by piece, so that both end at
their limits.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from functools import cache, lru_cache
from typing import Any, cast

from django.template import Context, Engine, Node, Template, TemplateSyntaxError
from django.template.base import (
    FilterExpression,
    Lexer,
    NodeList,
    Parser,
    TextNode,
    Token,
    VariableDoesNotExist,
    VariableNode,
)
from django.template.defaulttags import CommentNode, ForNode, WithNode
from django.utils.html import conditional_escape

from notifications.core.errors import ConfigError
from notifications.messages.values import (
    WORK_LIMIT,
    Full,
    Run,
    TooCostly,
    cost_of,
    cut,
    plain_dict,
    shown,
    value_of,
)

SOURCE_LIMIT = 10_000
LINE_LIMIT = 1_000
TAG_LIMIT = 300
"""Characters of a template, of one of its lines, of one tag in it."""
DEPTH_LIMIT = 12
LOOPS_LIMIT = 2
"""Blocks, and among them loops, within each other."""
LIBRARY = "notifications.messages.library"

_OWN_LINES = re.compile(r"^[ \t]*((?:\{%[^%\n]*%\}[ \t]*)+)\n", re.MULTILINE)


class _Context(Context):
    """The data of one rendering."""

    def __init__(self, data: dict[str, Any], run: Run) -> None:
        super().__init__(data, autoescape=run.is_html)
        self.run = run


class _Expression(FilterExpression):
    """A value with its filters; costs are counted, and no value grows beyond its limit."""

    def __init__(self, token: str, parser: Parser) -> None:
        super().__init__(token, parser)
        literals = [arg for _, args in self.filters for is_variable, arg in args if not is_variable]
        if not self.is_var:
            literals.append(self.var)
        if not all(isinstance(literal, str) for literal in literals):
            raise TemplateSyntaxError("_(…) is not allowed: write the text in the template's language")

    def resolve(self, context: Any, ignore_failures: bool = False) -> Any:
        run = context.run
        value = value_of(self.var, context)
        run.spend(cost_of(value))
        for function, args in self.filters:
            given = [value_of(arg, context) for _, arg in args]
            value = cut(function(value, *given, run=run))
            run.spend(cost_of(value))
        return value


class _Entries:
    """What a loop goes through: the entries of a list, the keys of a dict, and nothing else."""

    def __init__(self, expression: Any) -> None:
        self.expression = expression

    def resolve(self, context: Any, ignore_failures: bool = False) -> list[Any]:
        value = self.expression.resolve(context)
        return list(value) if isinstance(value, list | tuple | dict) else []


class _Words(Node):
    """Text of the template itself."""

    child_nodelists = ()

    def __init__(self, text: str) -> None:
        self.text = text

    def render(self, context: Any) -> Any:
        context.run.write(self.text)
        return ""


class _Shown(Node):
    """A value that is put out: escaped in HTML."""

    child_nodelists = ()

    def __init__(self, expression: FilterExpression) -> None:
        self.expression = expression

    def render(self, context: Any) -> Any:
        text = shown(self.expression.resolve(context))
        context.run.write(str(conditional_escape(text)) if context.autoescape else text)
        return ""


class _Parser(Parser):
    """Takes the allowed tags and filters, says which line is wrong, and notes which variables are used."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.line = 1
        self.bound = {"forloop", "True", "False", "None"}
        self.used: list[tuple[str, int]] = []

    def next_token(self) -> Token:
        token: Token = super().next_token()
        self.line = token.lineno or self.line
        if len(token.contents) > TAG_LIMIT and token.token_type.value in (1, 2):
            raise self.error(
                token, f"one tag has at most {TAG_LIMIT} characters; set parts of it by {{% with %}}"
            )
        return token

    def compile_filter(self, token: str) -> FilterExpression:
        expression = _Expression(token, self)
        variables = [expression.var, *(arg for _, args in expression.filters for _, arg in args)]
        self.used += [(each.lookups[0], self.line) for each in variables if getattr(each, "lookups", None)]
        return expression

    def extend_nodelist(self, nodelist: NodeList, node: Node, token: Token) -> None:
        if isinstance(node, CommentNode):
            return
        if isinstance(node, TextNode):
            node = _Words(node.s)
        elif isinstance(node, VariableNode):
            node = _Shown(node.filter_expression)
        elif isinstance(node, ForNode):
            self.bound.update(node.loopvars)
            node.sequence = cast(FilterExpression, _Entries(node.sequence))
        elif isinstance(node, WithNode):
            self.bound.update(node.extra_context)
        super().extend_nodelist(nodelist, node, token)

    def invalid_block_tag(self, token: Token, command: str, parse_until: Any = None) -> Any:
        if command in (*self.tags, "elif", "else", "empty") or command.startswith("end"):
            expected = f"; expected here: {', '.join(parse_until)}" if parse_until else ""
            raise self.error(token, f"{{% {command} %}} has no place here{expected}")
        raise self.error(
            token, f"the tag {{% {command} %}} is not allowed; use {', '.join(sorted(self.tags))}"
        )

    def find_filter(self, filter_name: str) -> Any:
        if filter_name not in self.filters:
            allowed = ", ".join(sorted(self.filters))
            raise TemplateSyntaxError(f"the filter {filter_name!r} is not allowed; use {allowed}")
        return self.filters[filter_name]

    def refuse_depth(self) -> None:
        """Called by every tag that opens a block."""
        names = [name for name, _ in self.command_stack]
        if names.count("for") > LOOPS_LIMIT:
            raise TemplateSyntaxError(
                f"at most {LOOPS_LIMIT} loops within each other; take one {{% for %}} out"
            )
        if len(names) > DEPTH_LIMIT:
            raise TemplateSyntaxError(
                f"at most {DEPTH_LIMIT} blocks within each other; write them one after the other"
            )


class _Template(Template):
    """A template whose source has been found harmless."""

    used: list[tuple[str, int]]
    bound: set[str]

    def compile_nodelist(self) -> NodeList:
        parser = _Parser(Lexer(self.source).tokenize(), {}, self.engine.template_builtins, self.origin)
        nodes: NodeList = parser.parse()
        self.extra_data = parser.extra_data
        self.used, self.bound = parser.used, parser.bound
        return nodes


class _Engine(Engine):
    """No loaders, no libraries to load, of Django's own tags and filters only what the library takes over."""

    default_builtins = [LIBRARY]


@cache
def _engine() -> _Engine:
    return _Engine(loaders=[])


def refuse(source: str, kind: str, known: frozenset[str]) -> set[str]:
    """Raise ConfigError at `kind`, with the line and what is allowed instead, where `source` is no template that can be
    used, or uses variables that are not `known`. Returns the names that it binds itself."""
    template = _compile(source, kind)
    for name, line in template.used:
        if name not in known | template.bound:
            raise ConfigError(
                kind, f"line {line}: there is no variable {name!r}; there are {', '.join(sorted(known))}"
            )
    return template.bound


def run(source: str, kind: str, data: Mapping[str, Any], *, language: str, limit: int, now: datetime) -> str:
    """Render. Raise ConfigError where the source cannot be used, or the rendering costs too much; output beyond `limit`
    is cut off."""
    this = Run(now, language, kind == "html", limit)
    try:
        _compiled(source, kind).render(_Context(plain_dict(data), this))
    except Full:
        return _cut_off("".join(this.pieces), this.is_html)
    except (TooCostly, ValueError, TypeError, ArithmeticError, VariableDoesNotExist, RecursionError) as error:
        raise ConfigError(kind, f"it cannot be rendered: {error}") from None
    if this.work > WORK_LIMIT:  # a condition takes every error for "no"
        raise ConfigError(kind, f"it cannot be rendered: it does more than {WORK_LIMIT:,} steps")
    return "".join(this.pieces)


@lru_cache(maxsize=256)
def _compiled(source: str, kind: str) -> _Template:
    """Lines that hold nothing but block tags leave no empty line."""
    _compile(source, kind)
    return _compile(_OWN_LINES.sub(r"\1", source), kind, has_long_lines=True)


def _compile(source: str, kind: str, *, has_long_lines: bool = False) -> _Template:
    _refuse_size(source, kind, has_long_lines)
    try:
        return _Template(source, engine=_engine())
    except TemplateSyntaxError as error:
        token = getattr(error, "token", None)
        where = f"line {token.lineno}: " if token is not None else ""
        raise ConfigError(kind, f"{where}{error}") from None
    except (ValueError, TypeError, ArithmeticError, RecursionError) as error:
        raise ConfigError(kind, f"it cannot be read: {error}") from None


def _refuse_size(source: str, kind: str, has_long_lines: bool) -> None:
    if len(source) > SOURCE_LIMIT:
        raise ConfigError(kind, f"has {len(source):,} characters; at most {SOURCE_LIMIT:,} are allowed")
    for number, line in enumerate(source.split("\n"), 1):
        if len(line) > LINE_LIMIT and not has_long_lines:
            raise ConfigError(kind, f"line {number}: has more than {LINE_LIMIT:,} characters; break it up")


def _cut_off(text: str, is_html: bool) -> str:
    """Without half a tag at its end."""
    if is_html and text.rfind("<") > text.rfind(">"):
        text = text[: text.rfind("<")]
    return text.rstrip() + "…"
