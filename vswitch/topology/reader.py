"""YAML text -> plain values, with the line and column of every key and value.  The only importer of ruamel.yaml.

The text is composed into nodes and the nodes are walked here, never constructed by the library: so every value has its
position, no tag can make an object, and an alias that would blow up a small file into a huge one runs into a budget.
Scalars follow YAML 1.2: `no`, `on` and `52:54:00:12:34:56` are strings, `010` is ten.  One thing of YAML 1.1 is read because
people rely on it: the merge key `<<`, whose entries stand in for keys that the map itself does not write.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.composer import Composer
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from vswitch.errors import TopologyError
from vswitch.topology.document import Document, Path
from vswitch.topology.mistakes import Mistakes, dotted
from vswitch.topology.model import Place

SIZE_MAX = 1024 * 1024             # octets of a file; a switch of 1024 ports needs about 100 KiB
NODES_MAX = 100_000                # values, and as many after aliases are followed
ENTRIES_MAX = 4096                 # keys of one map: a guest each, and `count` makes many of one
DIGITS_MAX = 40
DEPTH_MAX = 32                     # the vocabulary needs eight
CURE = "`count` makes many guests of one, and a second file a second topology"
TAG = "tag:yaml.org,2002:"


def text_of(path: str) -> str:
    """What the file at `path` says; TopologyError for one that cannot be read, or that never ends (/dev/zero)."""
    try:
        with open(path, "rb") as stream:
            octets = stream.read(SIZE_MAX + 1)
        text = octets.decode("utf-8")
    except UnicodeDecodeError as error:
        raise TopologyError([f"{path}: octet {error.start} is not UTF-8; a topology is a text file"]) from None
    except OSError as error:
        raise TopologyError([f"{path}: {error.strerror or error}; expected a topology file"]) from None
    if len(octets) > SIZE_MAX:
        raise TopologyError([_too_large(path)])
    return text


def _too_large(file: str) -> str:
    return f"{file}: the file is larger than {SIZE_MAX // 1024} KiB; no topology needs that much: {CURE}"


def read(text: str, file: str) -> tuple[Document, Mistakes]:
    """The document and the mistakes noted so far (duplicate keys, odd tags).  What is not a YAML map raises at once."""
    document = Document(file, text.split("\n"))
    mistakes = Mistakes(document)
    if len(text.encode("utf-8", "surrogatepass")) > SIZE_MAX:
        raise TopologyError([_too_large(file)])
    root = _compose(text, document)
    if root is None:
        raise TopologyError([f"{file}:1:1: the file is empty; a topology begins with `schema: vswitch/v1`"])
    if not isinstance(root, MappingNode):
        kind = "a list" if isinstance(root, SequenceNode) else "a single value"
        place = _place(file, root)
        raise TopologyError([f"{place}: {kind} was found; a topology is a map that begins with `schema: vswitch/v1`"
                             + document.excerpt(place)])
    walk = _Walk(document, mistakes)
    document.values = walk.plain(root, ())
    return document, mistakes


def dump(values: dict[str, Any]) -> str:
    """`values` as YAML text, maps of scalars on one line."""
    yaml = YAML(typ="safe", pure=True)
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    yaml.width = 120
    yaml.representer.add_representer(
        _Quoted, lambda representer, text: representer.represent_scalar(f"{TAG}str", text, style='"'))
    stream = io.StringIO()
    yaml.dump(_quoted(values), stream)
    return stream.getvalue()


class _Quoted(str):
    """A text that stands in quotes."""


def _quoted(value: Any) -> Any:
    """`value` with quotes around what begins with a colon: the library writes it without, and cannot read that (`{::/0: x}`)."""
    if isinstance(value, dict):
        return {_quoted(key): _quoted(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_quoted(item) for item in value]
    return _Quoted(value) if isinstance(value, str) and value.startswith(":") else value


def _compose(text: str, document: Document) -> Node | None:
    """The root node, or None for a file without content."""
    try:
        yaml = YAML(typ="safe", pure=True)
        yaml.Composer = _BoundedComposer
        yaml.file = document.file      # type: ignore[attr-defined]   # where the composer finds it
        node: Node | None = yaml.compose(io.StringIO(text))
        return node
    except TopologyError:
        raise
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        if error.context_mark and mark.line > error.context_mark.line and "flow" in str(error.context):
            mark = error.context_mark  # a bracket that is never closed: where it is opened, not where the file ends
        place = Place(document.file, mark.line + 1, mark.column + 1) if mark else Place(document.file, 1, 1)
        what = " ".join(part for part in (error.context, error.problem) if part)
        if what.endswith("found ':'"):
            what += "; write quotes around what begins with a colon: `\"::/0\"`"
        raise TopologyError([f"{place}: this is not YAML: {what}" + document.excerpt(place)]) from None
    except RecursionError:
        raise TopologyError([f"{document.file}: values are nested too deeply; no topology needs that much"]) from None
    except Exception as error:     # a scanner fed with hostile text fails in more ways than it declares
        first = str(error).strip().split("\n")[0] or type(error).__name__
        raise TopologyError([f"{document.file}:1:1: this is not YAML: {first}"]) from None


class _BoundedComposer(Composer):
    """Gives up while the text is read, and not when all of it has been: the scanner takes 40 us for a value."""

    n_nodes = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        self.n_nodes += 1
        is_long = isinstance(parent, MappingNode) and len(parent.value) > ENTRIES_MAX
        if is_long or self.n_nodes > NODES_MAX:
            mark = self.parser.peek_event().start_mark
            what = (f"a map of more than {ENTRIES_MAX} keys; {CURE}" if is_long else
                    f"more than {NODES_MAX} values; no topology needs that many")
            raise TopologyError([f"{Place(self.loader.file, mark.line + 1, mark.column + 1)}: {what}"])
        return super().compose_node(parent, index)


class _Walk:
    """Turns nodes into plain values and notes where each was."""

    def __init__(self, document: Document, mistakes: Mistakes) -> None:
        self._document = document
        self._mistakes = mistakes
        self._left = NODES_MAX

    def plain(self, node: Node, path: Path) -> Any:
        self._left -= 1
        if self._left < 0 or len(path) > DEPTH_MAX:
            what = "aliases make the file larger" if self._left < 0 else "values are nested deeper"
            raise TopologyError([f"{_place(self._document.file, node)}: {what} than any topology needs"])
        self._document.value_places.setdefault(path, _place(self._document.file, node))
        if isinstance(node, MappingNode):
            return {key: self.plain(value, (*path, key)) for key, value in self._pairs(node, path)}
        if isinstance(node, SequenceNode):
            return [self.plain(item, (*path, index)) for index, item in enumerate(node.value)]
        return self._scalar(node, path)

    def _pairs(self, node: MappingNode, path: Path) -> Iterator[tuple[str, Node]]:
        """Key and value node of each entry; a key written twice is noted and its first value stays."""
        for key_node, value_node in self._merged(node, path):
            place = _place(self._document.file, key_node)
            if not isinstance(key_node, ScalarNode):
                self._document.value_places[(*path, "?")] = place
                self._mistakes.add((*path, "?"), "a list or a map is used as a key", "a key is a plain word")
                continue
            here = (*path, key_node.value)
            if here in self._document.key_places and here in self._document.value_places:
                first = self._document.key_places[here]
                self._twice(here, place, first)
                continue
            self._document.key_places[here] = place
            if isinstance(value_node, ScalarNode) and value_node.value == "" and value_node.style is None:
                self._document.value_places[here] = place      # nothing is written: point at the key
            yield key_node.value, value_node

    def _merged(self, node: MappingNode, path: Path, depth: int = 0) -> Iterator[tuple[Node, Node]]:
        """The entries of a map, then those that `<<` brings and the map does not write itself."""
        if depth > DEPTH_MAX:
            raise TopologyError([f"{_place(self._document.file, node)}: maps are merged deeper than any topology needs"])
        self._document.key_places.update({(*path, "<<"): _place(self._document.file, key)
                                          for key, _ in node.value if _is_merge_key(key)})
        self._left -= 1                # a merge costs something also where the map that it brings is empty
        if self._left < 0:
            raise TopologyError([f"{_place(self._document.file, node)}: aliases make the file larger than any topology needs"])
        brought = [value for key, value in node.value if _is_merge_key(key)]
        own = [(key, value) for key, value in node.value if not _is_merge_key(key)]
        yield from own
        known = {key.value for key, _ in own if isinstance(key, ScalarNode)}
        for source in [one for value in brought for one in (value.value if isinstance(value, SequenceNode) else [value])]:
            if not isinstance(source, MappingNode):
                self._mistakes.add((*path, "<<"), "`<<` merges something that is not a map", "expected `<<: *ANCHOR` of a map",
                                   at_key=True)
                continue
            for key, value in self._merged(source, path, depth + 1):
                self._left -= 1
                if self._left < 0:
                    raise TopologyError([f"{_place(self._document.file, node)}: aliases make the file larger than any "
                                         "topology needs"])
                if not isinstance(key, ScalarNode) or key.value not in known:
                    known.add(key.value if isinstance(key, ScalarNode) else "")
                    yield key, value

    def _twice(self, path: Path, place: Place, first: Place) -> None:
        self._document.key_places[path] = place
        cure = "" if path[-2:-1] != ("routes",) else f"; several gateways are a list: `{path[-1]}: [10.0.0.1, \"fe80::1\"]`"
        self._mistakes.add(path, f"the key `{path[-1]}` is written twice", f"the first is on line {first.line}{cure}",
                           at_key=True)
        self._document.key_places[path] = first

    def _scalar(self, node: Node, path: Path) -> Any:
        tag, text = str(node.tag), str(node.value)
        kind = tag.removeprefix(TAG)
        if kind == tag or kind.startswith("python"):
            self._mistakes.add(path, f"the tag `{tag}` at {dotted(path) or 'the top'}",
                               "write a plain value; a topology is one file and includes no other")
            return text
        try:
            if kind == "int" and len(text) > DIGITS_MAX:
                return text            # no number that a topology needs; the interpreter refuses to print one of 4300 digits
            if kind == "int":
                return int(text, 0) if text.lower().lstrip("+-").startswith(("0x", "0o")) else int(text)
            if kind == "float":
                return float(text) if text[-1:].isdigit() else text
        except ValueError:
            return text
        if kind == "bool":
            return text.lower() in ("true", "yes", "on")
        if "${" in text and "run" not in path:       # the commands of a lab guest are a shell's matter
            self._mistakes.add(path, f"`{text[:40]}` has a variable in it", "variables are not replaced; write the value itself")
        return None if kind == "null" else text


def _is_merge_key(key: Node) -> bool:
    """YAML 1.1's merge key, written plain; in quotes it is a key like any other."""
    return isinstance(key, ScalarNode) and key.value == "<<" and key.style is None


def _place(file: str, node: Node) -> Place:
    return Place(file, node.start_mark.line + 1, node.start_mark.column + 1)
