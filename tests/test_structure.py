"""The shape of the code as a whole: no circle of packages, one class of a name, files that fit."""

from __future__ import annotations

from ast import ClassDef
from graphlib import CycleError, TopologicalSorter

from source_tree import Module, modules

_LINES = 500
# Names that two classes of other parts still share; each line goes when its class is renamed.
_TWICE = {
    *("Attention", "Axis", "Pose", "Row"),
    *("Camera", "ClassMap", "Device", "Heard", "Hearing", "Look", "Network", "Picture"),
    *("Placement", "Report", "Run", "Scene", "SceneObject", "Seen", "Settings", "Source"),
    *("Stage", "StoppedError", "Track", "Variant", "View", "Work"),
}


def part(name: str) -> str:
    """The package of a module, as deep as it has a name of its own in `streamavis`."""
    parts = name.split(".")
    return ".".join(parts[:2]) if parts[0] == "streamavis" else parts[0]


def graph(found: list[Module]) -> dict[str, set[str]]:
    """Package -> packages that it imports; inside functions and for types alone as well."""
    names = {module.name for module in found}
    edges: dict[str, set[str]] = {}
    for module in found:
        if module.name == "streamavis":
            continue  # it opens everything on first use
        for imported in module.imports():
            target = imported.target
            while target and target not in names:
                target = target.rpartition(".")[0]
            if target not in ("", "streamavis") and part(target) != part(module.name):
                edges.setdefault(part(module.name), set()).add(part(target))
    return edges


def circle(edges: dict[str, set[str]]) -> list[str]:
    """Packages that import each other in turn; empty where there are none."""
    try:
        TopologicalSorter(edges).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_no_packages_import_each_other_in_a_circle():
    # The command opens its benchmarks, which use the commands' parts; only inside functions.
    edges = graph(modules())
    edges["streamavis_apps"].discard("streamavis_benchmarks")
    # A result's methods convert it to other libraries' types; only inside functions.
    edges["streamavis.types"].discard("streamavis.forms")
    found = circle(edges)
    assert not found, " <- ".join(found)


def test_a_circle_is_found():
    assert circle({"a": {"b"}, "b": {"c"}}) == []
    assert set(circle({"a": {"b"}, "b": {"c"}, "c": {"a"}})) == {"a", "b", "c"}


def classes() -> dict[str, list[str]]:
    """Public class -> the modules that define one of its name."""
    found: dict[str, list[str]] = {}
    for module in modules():
        for node in module.tree.body:
            if isinstance(node, ClassDef) and not node.name.startswith("_"):
                found.setdefault(node.name, []).append(module.name)
    return found


def test_no_two_public_classes_have_one_name():
    twice = {name: where for name, where in classes().items() if len(where) > 1}
    new = {name: where for name, where in twice.items() if name not in _TWICE}
    assert not new, f"name each for what it is: {new}"
    done = _TWICE - set(twice)
    assert not done, f"no longer twice, so no longer in the list of this test: {sorted(done)}"


def test_no_file_is_too_long():
    long = {m.where: n for m in modules() if (n := m.source.count("\n")) > _LINES}
    assert not long, f"over {_LINES} lines: {long}"
