"""YAML with real line numbers: mappings and lists that know where each of their entries is written."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, ClassVar

import yaml

from healing.registration.rows import Place, RegistrationError

MAX_NODES = 2_000_000
MAX_DEPTH = 100


class Map(dict[str, Any]):
    """A mapping; `lines` has the line of each key."""

    def __init__(self, place: Place) -> None:
        super().__init__()
        self.place = place
        self.lines: dict[str, int] = {}
        self.files: dict[str, str] = {}

    def put(self, key: str, value: Any, place: Place) -> None:
        self[key] = value
        self.files[key] = place.file
        if place.line:
            self.lines[key] = place.line

    def at(self, key: str) -> Place:
        """Where the key is written; for a missing key, where the mapping begins."""
        if key in self.lines:
            return Place(self.files[key], self.lines[key])
        return self.place


class Seq(list[Any]):
    """A list; `places` has the place of each entry."""

    def __init__(self, place: Place) -> None:
        super().__init__()
        self.place = place
        self.places: list[Place] = []

    def push(self, value: Any, place: Place) -> None:
        self.append(value)
        self.places.append(place)


class Override:
    """A value tagged `!override`: it replaces what it would be merged with. `!reset` is an Override of None."""

    def __init__(self, value: Any) -> None:
        self.value = value


_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


_TIMESTAMP = "tag:yaml.org,2002:timestamp"


class _MarkedLoader(_Loader):  # type: ignore[misc]
    """PyYAML's safe loader, building Map and Seq; dates stay text. `file` names the input in messages."""

    file = ""
    yaml_implicit_resolvers: ClassVar[dict[str, Any]] = {
        first: [(tag, form) for tag, form in resolvers if tag != _TIMESTAMP]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


def load(text: str, file: str) -> Any:
    """The one document of a YAML text. Raise RegistrationError for what cannot be parsed."""
    loader = type("Loader", (_MarkedLoader,), {"file": file})(_clean(text, file))
    try:
        _refuse_depth(text, file)
        value = loader.get_single_data()
        _refuse_bombs(value, file)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise RegistrationError(Place(file, mark.line + 1 if mark else None), "", _sentence(error)) from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise RegistrationError(Place(file), "", f"this is not YAML: {error}") from None
    finally:
        loader.dispose()
    return value


def _clean(text: str, file: str) -> str:
    for number, line in enumerate(text.split("\n"), 1):
        if "\0" in line:
            raise RegistrationError(
                Place(file, number), "", "there is a NUL character; save the file as UTF-8 text"
            )
    return text


def _sentence(error: yaml.MarkedYAMLError) -> str:
    problem = error.problem or "unknown problem"
    context = f"{error.context}, " if error.context else ""
    hint = "; indent with spaces" if "\\t" in problem else ""
    return f"YAML syntax error: {context}{problem}{hint}; mend the file and run again"


def _refuse_depth(text: str, file: str) -> None:
    """Refuse what is nested so deeply that building it would exhaust the C stack."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            mark = event.start_mark
            raise RegistrationError(
                Place(file, mark.line + 1 if mark else None),
                "",
                f"is nested over {MAX_DEPTH} deep; write it flatter",
            )


def _refuse_bombs(value: Any, file: str) -> None:
    """Refuse what contains itself, or unfolds through its anchors into more than MAX_NODES nodes."""
    sizes: dict[int, int] = {}
    open_nodes: set[int] = set()

    def size(node: Any) -> int:
        if not isinstance(node, dict | list):
            return 1
        key = id(node)
        if key in open_nodes:
            raise RegistrationError(Place(file), "", "an anchor contains itself; remove the alias inside it")
        if key not in sizes:
            open_nodes.add(key)
            sizes[key] = 1 + sum(size(child) for child in (node.values() if isinstance(node, dict) else node))
            open_nodes.discard(key)
        return sizes[key]

    if size(value) > MAX_NODES:
        raise RegistrationError(
            Place(file), "", "its anchors unfold into more than two million values; write it plainly"
        )


def _place(loader: Any, node: yaml.Node) -> Place:
    return Place(loader.file, node.start_mark.line + 1)


def _construct_map(loader: Any, node: yaml.MappingNode) -> Any:
    result = Map(_place(loader, node))
    yield result
    _refuse_duplicates(loader, node)
    loader.flatten_mapping(node)
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node, deep=True)
        if not isinstance(key, Hashable):
            raise yaml.constructor.ConstructorError(
                None, None, "a key is a list or a mapping", key_node.start_mark
            )
        value = loader.construct_object(value_node, deep=True)
        result.put(_text_key(key), value, _place(loader, key_node))


def _refuse_duplicates(loader: Any, node: yaml.MappingNode) -> None:
    seen: set[str] = set()
    for key_node, _ in node.value:
        if not isinstance(key_node, yaml.ScalarNode) or key_node.tag == "tag:yaml.org,2002:merge":
            continue
        if key_node.value in seen:
            raise yaml.constructor.ConstructorError(
                None, None, f"the key {key_node.value!r} is there twice", key_node.start_mark
            )
        seen.add(key_node.value)


def _text_key(key: object) -> str:
    """Keys are text; YAML 1.1 reads `on`, `no`, `y` as booleans, which nobody means as a key."""
    if isinstance(key, bool):
        return "on" if key else "no"
    return str(key)


def _construct_seq(loader: Any, node: yaml.SequenceNode) -> Any:
    result = Seq(_place(loader, node))
    yield result
    for child in node.value:
        result.push(loader.construct_object(child, deep=True), _place(loader, child))


def _construct_override(loader: Any, node: yaml.Node) -> Override:
    plain: Any
    if isinstance(node, yaml.MappingNode):
        plain = yaml.MappingNode("tag:yaml.org,2002:map", node.value, node.start_mark, node.end_mark)
    elif isinstance(node, yaml.SequenceNode):
        plain = yaml.SequenceNode("tag:yaml.org,2002:seq", node.value, node.start_mark, node.end_mark)
    else:
        plain = yaml.ScalarNode(
            loader.resolve(yaml.ScalarNode, node.value, (True, False)),
            node.value,
            node.start_mark,
            node.end_mark,
        )
    return Override(loader.construct_object(plain, deep=True))


def _construct_reset(loader: Any, node: yaml.Node) -> Override:
    return Override(None)


_MarkedLoader.add_constructor("tag:yaml.org,2002:map", _construct_map)
_MarkedLoader.add_constructor("tag:yaml.org,2002:seq", _construct_seq)
_MarkedLoader.add_constructor("!override", _construct_override)
_MarkedLoader.add_constructor("!reset", _construct_reset)
