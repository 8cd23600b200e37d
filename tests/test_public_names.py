from __future__ import annotations

import ast
import inspect
import subprocess
import sys
import types
import typing
from collections.abc import Iterator, Mapping
from importlib import import_module
from types import ModuleType
from typing import Any

import pytest

import hume_runner
from hume_runner import api, errors, events
from hume_runner.manifest import model

PROMISED_MODULES = (errors, events, model)


def test_all_names_are_listed_sorted_and_there() -> None:
    assert hume_runner.__all__ == sorted(hume_runner.__all__)
    for name in hume_runner.__all__:
        assert getattr(hume_runner, name) is not None
        assert name in dir(hume_runner)


def test_nothing_public_is_left_out_of_the_list() -> None:
    subpackages = {name for name in vars(hume_runner) if sys.modules.get(f"hume_runner.{name}") is not None}
    machinery = {"TYPE_CHECKING", "Any", "annotations", "import_module"}
    public = {name for name in vars(hume_runner) if not name.startswith("_")} - subpackages - machinery
    assert public <= set(hume_runner.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'HumeStreamClient'"):
        _ = hume_runner.HumeStreamClient


def test_a_name_comes_from_one_place() -> None:
    from hume_runner.hume.legacy import HumeBatchClient

    assert hume_runner.HumeBatchClient is HumeBatchClient


def test_importing_the_package_imports_no_library() -> None:
    code = (
        "import sys, hume_runner; print(sorted({'requests', 'yaml', 'urllib3', 'jsonschema', 'rich'} & {*sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("package", [hume_runner, api], ids=lambda package: package.__name__)
def test_a_star_import_gives_every_promised_name(package: ModuleType) -> None:
    found: dict[str, Any] = {}
    exec(f"from {package.__name__} import *", found)
    assert set(package.__all__) <= found.keys()


def test_the_values_of_results_are_not_imported_before_they_are_asked_for() -> None:
    late = {"hume_runner.results.compare.base", "hume_runner.results.read", "hume_runner.services.local.weights"}
    code = f"import sys, hume_runner.api; print(sorted({late} & {{*sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_facade_knows_no_other_name() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Comparisons'"):
        _ = api.Comparisons


def promised() -> dict[str, Any]:
    """Every promised class and function, by where it is promised."""
    packages = (hume_runner, api)
    found = {f"{one.__name__}.{name}": getattr(one, name) for one in packages for name in one.__all__}
    for one in PROMISED_MODULES:
        own = {f"{one.__name__}.{name}": value for name, value in vars(one).items() if not name.startswith("_")}
        found |= {name: value for name, value in own.items() if getattr(value, "__module__", "") == one.__name__}
    return {name: value for name, value in found.items() if inspect.isclass(value) or inspect.isfunction(value)}


def names_in(module: ModuleType) -> dict[str, Any]:
    """What its annotations may name, also what it imports for them alone."""
    found = dict(vars(module))
    for node in ast.walk(ast.parse(inspect.getsource(module))):
        if isinstance(node, ast.ImportFrom) and node.module:
            home = import_module(node.module)
            found |= {one.asname or one.name: getattr(home, one.name, None) for one in node.names}
    return found


def annotations_of(value: Any) -> Iterator[tuple[str, ModuleType]]:
    """The annotations of a function, or of the public fields and methods of a class and those that it inherits from us,
    each with the module that it stands in."""
    owners = [value] if inspect.isfunction(value) else value.__mro__
    for owner in owners:
        if not owner.__module__.startswith("hume_runner"):
            continue
        home = sys.modules[owner.__module__]
        said = list(inspect.get_annotations(owner).items())
        for name, member in () if inspect.isfunction(value) else vars(owner).items():
            function = member.fget if isinstance(member, property) else getattr(member, "__func__", member)
            # What the constructor of a dataclass takes are its fields.
            if inspect.isfunction(function) and (not name.startswith("_") or name in ("__init__", "__call__")):
                own = function.__module__ == owner.__module__ and function.__qualname__.startswith(owner.__qualname__)
                said += [("", text) for text in function.__annotations__.values()] if own else []
        yield from ((text, home) for name, text in said if not name.startswith("_"))


def types_in(hint: Any) -> Iterator[type]:
    if isinstance(hint, type) and not typing.get_args(hint):
        yield hint
    for one in typing.get_args(hint):
        yield from types_in(one)
    if isinstance(hint, list):
        for one in hint:
            yield from types_in(one)


def unions_in(text: str, names: Mapping[str, Any]) -> dict[str, Any]:
    """Unions that an annotation uses by a name (`ManifestLike`), which who uses it would have to write out."""
    found = {}
    for node in ast.walk(ast.parse(text, mode="eval")):
        value = names.get(node.id) if isinstance(node, ast.Name) else None
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            value = getattr(names.get(node.value.id), node.attr, None)
        if isinstance(value, types.UnionType):
            found[ast.unparse(node)] = value
    return found


def promised_unions() -> list[Any]:
    shown = [getattr(one, name) for one in (hume_runner, api) for name in one.__all__]
    shown += [value for one in PROMISED_MODULES for name, value in vars(one).items() if not name.startswith("_")]
    return [value for value in shown if isinstance(value, types.UnionType)]


PROMISED = promised()


@pytest.mark.parametrize("name", sorted(PROMISED))
def test_whoever_may_use_a_name_may_name_all_that_it_takes_and_gives(name: str) -> None:
    known = list(PROMISED.values())
    unknown = set()
    for text, home in annotations_of(PROMISED[name]):
        hint = eval(text, names_in(home)) if isinstance(text, str) else text
        unknown |= {
            f"{one.__module__}.{one.__qualname__}"
            for one in types_in(hint)
            if one.__module__.startswith("hume_runner") and not any(one is other for other in known)
        }
    assert unknown == set()


@pytest.mark.parametrize("name", sorted(PROMISED))
def test_whoever_may_use_a_name_may_name_the_unions_that_it_takes(name: str) -> None:
    known = promised_unions()
    unknown = {
        union
        for text, home in annotations_of(PROMISED[name])
        if isinstance(text, str)
        for union, value in unions_in(text, names_in(home)).items()
        if not any(value is other for other in known)
    }
    assert unknown == set()


def test_the_type_of_a_manifest_is_promised() -> None:
    annotations = {name: value for name, value in hume_runner.run.__annotations__.items() if name == "manifest"}
    assert annotations == {"manifest": "ManifestLike"}
    assert any(hume_runner.ManifestLike is one for one in promised_unions())
