"""The house: what the wheel installs, which package may import which, what is loaded when."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent

# Dependencies point one way (docs/architecture.md): a package may import itself and these.
MAY_IMPORT = {
    "plonnx": {"compiler", "layout", "gadgets", "plonk", "kzg", "solidity", "_native"},
    "compiler": {"layout", "gadgets", "plonk", "kzg", "_native"},
    "layout": {"gadgets", "plonk", "kzg", "_native"},
    "gadgets": {"plonk", "kzg", "_native"},
    "plonk": {"kzg", "_native"},
    "kzg": {"_native"},
    "solidity": {"plonk", "kzg", "_native"},
}


def imported(path: Path) -> Iterator[str]:
    """The subpackages of plonnx that a file imports, anywhere in it ("" for plonnx itself)."""
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: imports are absolute"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        yield from ([*name.split("."), ""][1] for name in names if name.split(".")[0] == "plonnx")


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_imports_point_one_way(package: str) -> None:
    own = (
        {path.stem for path in (ROOT / "plonnx").iterdir() if not path.is_symlink()}
        if package == "plonnx"
        else {package}
    )
    folder = ROOT / package
    files = [path for path in folder.rglob("*.py") if package != "plonnx" or not _through_link(path, folder)]
    assert files
    for path in files:
        public = {"__version__"} if package == "plonnx" else set()
        for name in imported(path):
            allowed = MAY_IMPORT[package] | own | public | ({""} if package == "plonnx" else set())
            assert name in allowed, f"{path.relative_to(ROOT)} imports plonnx.{name}"


def _through_link(path: Path, folder: Path) -> bool:
    return any(parent.is_symlink() for parent in path.parents if folder in parent.parents)


# A gadget is one file -------------------------------------------------------------------------------------------------

OUTSIDE = sorted(
    path for package in MAY_IMPORT if package not in ("gadgets", "plonnx") for path in (ROOT / package).rglob("*.py")
) + sorted(path for path in (ROOT / "plonnx").rglob("*.py") if not _through_link(path, ROOT / "plonnx"))


def gadget_classes() -> set[str]:
    """Every kind of gadget, and their bases."""
    from plonnx.gadgets.gadget import Gadget
    from plonnx.layout.file import _kinds

    kinds = _kinds()
    assert {"input", "convolution", "sum", "lookup", "maximum", "product"} <= set(kinds)
    bases = {base for kind in kinds.values() for base in kind.__mro__ if issubclass(base, Gadget)}
    return {each.__name__ for each in bases}


APPLIED = {"Function", "Quadratic"}
"""Kinds of functions that gadgets apply: whoever makes one imports it, and nobody asks which it is."""


def kinds_named(path: Path, classes: set[str]) -> list[str]:
    """The lines of a file that ask for a kind of gadget: by isinstance, by a case, by type(..), or that import one."""
    found = []
    imports: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        names, kinds = list[str](), classes
        match node:
            case ast.ImportFrom(module=str(module)) if module.split(".")[:2] == ["plonnx", "gadgets"]:
                imports |= {alias.asname or alias.name for alias in node.names}
                names = [alias.name for alias in node.names if alias.name != "Gadget"]  # the noun, not a kind
            case ast.Call(func=ast.Name(id="isinstance" | "issubclass"), args=[_, asked]):
                names, kinds = [_last(part) for part in ast.walk(asked)], classes | APPLIED
            case ast.MatchClass(cls=asked):
                names, kinds = [_last(asked)], classes | APPLIED
            case ast.Compare(left=ast.Call(func=ast.Name(id="type")), comparators=others):
                names = [_last(part) for other in others for part in ast.walk(other)]
                kinds = classes | APPLIED
            case ast.Attribute(value=ast.Name(id=of), attr=name) if of in imports:
                names = [name]
        found += [f"line {getattr(node, 'lineno', 0)}: {name}" for name in names if name in kinds]
    return found


def _last(node: ast.AST) -> str:
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


@pytest.mark.parametrize("path", OUTSIDE, ids=lambda path: str(path.relative_to(ROOT)))
def test_nobody_asks_what_kind_a_gadget_is(path: Path) -> None:
    """Adding one touches its own file: layout/ and compiler/ go by what a gadget says of itself."""
    assert kinds_named(path, gadget_classes()) == []


@pytest.mark.parametrize(
    "code",
    [
        "x = isinstance(block, Sum)",
        "x = isinstance(block, (int, product.Product))",
        "x = isinstance(block, Lookup | Maximum)",
        "x = type(block) is Convolution",
        "from plonnx.gadgets.linear.sum import Sum",
        "from plonnx.gadgets import function\nx = function.Lookup",
        "match block:\n    case Equation():\n        pass",
        "x = isinstance(block.applies, Quadratic)",
    ],
)
def test_a_question_for_the_kind_is_found(code: str, tmp_path: Path) -> None:
    (tmp_path / "asks.py").write_text(code)
    assert kinds_named(tmp_path / "asks.py", gadget_classes())


def test_a_gadget_has_its_test_at_the_same_path() -> None:
    from plonnx.layout.file import _kinds

    for kind in _kinds().values():
        *folders, module = kind.__module__.removeprefix("plonnx.").split(".")
        assert ROOT.joinpath("tests", *folders, f"test_{module}.py").is_file(), kind.__module__


# An operator is one entry ---------------------------------------------------------------------------------------------

FEW = 4
"""A rule of a function may name as many operators: it is written for them. A list for all of a file is a mark."""
ABOUT_OTHERS = {"reference.py": "where onnx's evaluator deviates", "refusals.py": "what is not supported"}


def operators_listed(path: Path, operators: set[str]) -> list[str]:
    """The collections of a file that list operators: two or more of the file, more than FEW of a function."""
    tree = ast.parse(path.read_text(), str(path))
    inner = {id(node) for outer in ast.walk(tree) if isinstance(outer, ast.FunctionDef) for node in ast.walk(outer)}
    found = []
    for node in ast.walk(tree):
        match node:
            case ast.Tuple(elts=parts) | ast.List(elts=parts) | ast.Set(elts=parts) | ast.Dict(keys=parts):
                names = [part.value for part in parts if isinstance(part, ast.Constant) and part.value in operators]
                if len(names) > (FEW if id(node) in inner else 1):
                    found.append(f"line {node.lineno}: {', '.join(map(str, names))}")
    return found


@pytest.mark.parametrize(
    "path",
    [path for path in sorted((ROOT / "compiler").rglob("*.py")) if path.parent.name != "ops"],
    ids=lambda path: path.name,
)
def test_what_passes_know_of_operators_is_said_where_they_are_registered(path: Path) -> None:
    from plonnx.compiler.ops import supported

    names = {name.rsplit(".", 1)[-1] for name in supported()}
    assert path.name in ABOUT_OTHERS or operators_listed(path, names) == []


@pytest.mark.parametrize(
    "code",
    [
        '_MOVES = ("Slice", "Transpose")',
        '_MOVES = frozenset({"Slice", "Transpose"})',
        '_RULES = {"Add": 1, "Sub": 2}',
        'def f(op):\n    return op in ("Add", "Sub", "Mul", "Div", "Neg")',
    ],
)
def test_a_list_of_operators_is_found(code: str, tmp_path: Path) -> None:
    (tmp_path / "lists.py").write_text(code)
    assert operators_listed(tmp_path / "lists.py", {"Add", "Div", "Mul", "Neg", "Slice", "Sub", "Transpose"})


def test_layout_knows_no_onnx() -> None:
    """Neither does it import it, nor does anything that it imports."""
    modules = [f"plonnx.layout.{path.stem}" for path in (ROOT / "layout").glob("*.py") if path.stem != "__init__"]
    assert len(modules) > 10
    for module in modules:
        roots = {
            (alias.name if isinstance(node, ast.Import) else str(node.module)).split(".")[0]
            for node in ast.walk(ast.parse((ROOT / "layout" / f"{module.split('.')[-1]}.py").read_text()))
            if isinstance(node, ast.Import | ast.ImportFrom)
            for alias in node.names
        }
        assert not roots & {"onnx", "onnxruntime"}, module
    assert not _modules_after(f"import {', '.join(modules)}") & {"onnx", "onnxruntime", "plonnx.compiler"}


def test_gadgets_and_filling_load_no_sympy() -> None:
    """What the prover loads of them: all of gadgets/, and layout/ but for what declares a circuit."""
    declares = {"arithmetize", "counts", "cost", "search", "registration", "explain"}
    modules = [
        "plonnx.gadgets",
        *(f"plonnx.layout.{p.stem}" for p in (ROOT / "layout").glob("*.py") if p.stem not in declares),
    ]
    code = f"import {', '.join(modules)}\nfrom plonnx.layout.file import _kinds\n_kinds()"
    assert "sympy" not in _modules_after(code)


def test_a_newcomer_finds_every_room() -> None:
    """docs/architecture.md names each file; passes and operators, of which there are many, by their folders."""
    told = set(re.findall(r"[`/](\w+\.(?:py|rs))`", (ROOT / "docs" / "architecture.md").read_text()))
    rust = [*(ROOT / "native").glob("*/src/*.rs")]
    python = [path for package in MAY_IMPORT for path in (ROOT / package).rglob("*.py")]
    of_many = {
        "__init__.py",
        *(path.name for many in ("ops", "passes") for path in (ROOT / "compiler" / many).iterdir()),
    }
    assert len(rust) > 20 and len(python) > 100
    assert {path.name for path in [*rust, *python]} - told - of_many == set()


def test_files_that_texts_name_are_there() -> None:
    """In docs/ and in every docstring and comment: a name that went elsewhere sends the reader astray."""
    texts = [*(ROOT / "docs").rglob("*.md"), ROOT / "README.md"]
    texts += [path for package in (*MAY_IMPORT, "bench", "circuits") for path in (ROOT / package).rglob("*.py")]
    there = {
        path.name for part in (*MAY_IMPORT, "bench", "circuits", "docs", "tests") for path in (ROOT / part).rglob("*")
    }
    for path in texts:
        named = set(re.findall(r"(?<![\w{}*])[a-z][a-z_0-9]*\.py\b", path.read_text()))
        assert named <= there, f"{path.relative_to(ROOT)} names {named - there}"


def test_every_package_says_what_it_may_import() -> None:
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"circuits"}
    assert packages == set(MAY_IMPORT)
    assert "layout" not in MAY_IMPORT["gadgets"] | MAY_IMPORT["plonk"] | MAY_IMPORT["solidity"]


# Names and modules ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(__import__("plonnx").__all__))
def test_public_names(name: str) -> None:
    import plonnx

    assert getattr(plonnx, name).__doc__


def test_import_is_lazy() -> None:
    loaded = _modules_after("import plonnx, plonnx.cli.main, plonnx.cli.commands")
    assert not loaded & {"numpy", "onnx", "onnxruntime", "sympy", "rich", "plonnx._native"}


@pytest.mark.parametrize(
    "arguments",
    [["prove", "model.circuit", "input.json", "-o", "again.proof"], ["verify", "model.vk", "model.proof"]],
    ids=lambda arguments: arguments[0],
)
def test_proving_and_verifying_load_neither_onnx_nor_sympy(proved: Path, arguments: list[str]) -> None:
    assert not _modules_after(f"from plonnx.cli.main import main\nassert main({arguments}) == 0", proved) & {
        "onnx",
        "onnxruntime",
        "sympy",
    }


def test_compiling_loads_nothing_of_contracts() -> None:
    code = """import numpy as np, onnx, plonnx
from onnx import TensorProto, helper
x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [3]) for name in "xy")
graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "relu", [x], [y])
plonnx.compile(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), np.ones((20, 3)))"""
    assert not [name for name in _modules_after(code) if name == "jinja2" or name.startswith("plonnx.solidity")]


def _modules_after(code: str, folder: Path = ROOT) -> set[str]:
    listing = f"{code}\nimport sys\nprint()\nprint(*sys.modules)"
    return set(subprocess.check_output([sys.executable, "-c", listing], text=True, cwd=folder).splitlines()[-1].split())


def test_wheel_installs_one_name(tmp_path: Path) -> None:
    """Built without the Rust crate: what matters here is which Python files go where."""
    build = [sys.executable, "-c", _BUILD_WHEEL, str(tmp_path)]
    ran = subprocess.run(build, cwd=_copy(tmp_path / "source"), capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        files = [Path(name) for name in archive.namelist()]
        metadata = next(file for file in files if file.name == "METADATA")
        entry_points = archive.read(str(metadata.with_name("entry_points.txt"))).decode()
    assert {file.parts[0] for file in files if not file.parts[0].endswith(".dist-info")} == {"plonnx"}
    assert "plonnx = plonnx.__main__:main" in entry_points
    folders = ("cli", "compiler", "compiler/ops", "compiler/passes", "gadgets", "kzg", "layout", "plonk", "solidity")
    for package in folders:
        assert Path("plonnx", package, "__init__.py") in files
    for data in (ROOT / "kzg" / "ceremony", ROOT / "solidity" / "templates", ROOT / "solidity" / "contracts"):
        for path in (entry for entry in data.iterdir() if entry.is_file()):  # no bytecode
            assert Path("plonnx", path.parent.parent.name, path.parent.name, path.name) in files


def test_sdist_builds_what_the_repository_builds(tmp_path: Path) -> None:
    """It holds the whole workspace of the crate, with its lock file, and nothing that was built."""
    build = [sys.executable, "-c", _BUILD_SDIST, str(tmp_path)]
    ran = subprocess.run(build, cwd=_copy(tmp_path / "source"), capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    (sdist,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        files = {Path(*Path(member.name).parts[1:]) for member in archive if member.isfile()}
    crate = {
        path.relative_to(ROOT)
        for path in (ROOT / "native").rglob("*")
        if path.is_file() and "target" not in path.relative_to(ROOT).parts
    }
    assert {Path("native/Cargo.toml"), Path("native/Cargo.lock"), Path("native/kernels/src/lib.rs")} <= crate
    assert crate == {file for file in files if file.parts[0] == "native"}
    assert Path("plonnx/_native.pyi") in files


_BUILD_WHEEL = """
import sys
from setuptools import build_meta
build_meta.build_wheel(sys.argv[1])
"""

_BUILD_SDIST = _BUILD_WHEEL.replace("build_wheel", "build_sdist")


def _copy(target: Path) -> Path:
    """The tracked files, with their links, and a pyproject.toml without the crate."""
    import shutil

    shutil.copytree(
        ROOT,
        target,
        symlinks=True,
        ignore=shutil.ignore_patterns(
            ".git", ".venv", ".tools", "target", "build", "__pycache__", "*.so", "*.egg-info"
        ),
    )
    pyproject = target / "pyproject.toml"
    pyproject.write_text(re.sub(r"\[\[tool\.setuptools-rust.*?\n\n", "", pyproject.read_text(), flags=re.S))
    return target


def test_no_file_names_a_machine() -> None:
    """Nothing in the project depends on where it was written."""
    files = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False).stdout
    for name in filter(None, files.split("\0")):
        path = ROOT / name
        if path.is_symlink() or not path.is_file() or path.stat().st_size > 1_000_000 or path == Path(__file__):
            continue
        text = path.read_bytes().decode("utf-8", "ignore")
        for word in ("/work" + "/main", "/root" + "/", "/home" + "/"):
            assert word not in text, f"{name} holds {word}"
