"""The structure holds: imports go downhill, nothing yields inside a with, packages match the disk."""

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = {
    "losses": "restoration.losses", "degradations": "restoration.degradations",
    "benchmarks": "restoration.benchmarks", "restoration": "restoration",
}  # fmt: skip
# from → may import; within itself a package may import anything
ARROWS = {
    "losses": set(),
    "degradations": set(),
    "restoration": {"losses", "degradations"},
    "benchmarks": {"restoration", "losses", "degradations"},
}
COMPOSITION = {
    "restoration/cli.py",
    "restoration/cli_benchmark.py",
    "restoration/cli_parts.py",
    "restoration/cli_verify.py",
    "restoration/cli_data.py",
    "restoration/demo.py",
}
MODULES = sorted(p for folder in PACKAGES for p in (ROOT / folder).rglob("*.py"))


def package_of(name: str) -> str | None:
    return next((folder for folder, dotted in PACKAGES.items() if f"{name}.".startswith(f"{dotted}.")), None)


def imports(path: Path) -> list[str]:
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            found += [f"{node.module}.{alias.name}" for alias in node.names]
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_go_downhill(path):
    place = str(path.relative_to(ROOT))
    own = path.relative_to(ROOT).parts[0]
    for name in imports(path):
        assert name.split(".")[0] not in ("losses", "degradations", "benchmarks"), (
            f"{place}: import {name}: a second copy"
        )
        target = package_of(name)
        if target not in (None, own) and place not in COMPOSITION:
            assert target in ARROWS[own], f"{place} imports {name}: no arrow from {own} to {target}"


@pytest.mark.parametrize("path", sorted((ROOT / "restoration/methods").glob("*.py")), ids=lambda p: p.name)
def test_methods_never_yield_inside_with(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.With):
            assert not any(isinstance(n, (ast.Yield, ast.YieldFrom)) for n in ast.walk(node)), (
                f"{path}:{node.lineno}"
            )


def test_packages_match_the_disk():
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    on_disk = set()
    for folder, dotted in PACKAGES.items():
        for init in (ROOT / folder).rglob("__init__.py"):
            on_disk.add(".".join([dotted, *init.parent.relative_to(ROOT / folder).parts]))
    assert set(listed) == on_disk


def modules_after(statement: str) -> set[str]:
    code = f"import sys; {statement}; print(chr(10).join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_help_and_the_package_need_no_torch():
    assert "torch" not in modules_after("import restoration.cli")
    assert "torch" not in modules_after("import restoration")


def test_losses_bring_nothing_heavy():
    loaded = modules_after("import restoration.losses")
    assert not loaded & {"diffusers", "spandrel", "lpips", "kornia", "piq", "torchvision"}


def test_files_and_functions_stay_short():
    for path in MODULES:
        text = path.read_text()
        limit = 400 if "networks" in path.parts or path.name == "cli.py" else 310
        assert text.count("\n") <= limit, f"{path}: {text.count(chr(10))} lines"
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef):
                assert node.end_lineno - node.lineno <= 60, f"{path}:{node.lineno} {node.name}"
