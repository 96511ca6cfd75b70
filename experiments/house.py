"""Measures the house: rooms, floors and arrows between them, lines of code, parameters, ``Any``.

    python experiments/house.py [FOLDER] [--rooms] [--largest]

A room is a folder or a file directly in `debias`; `iterit` is one room. An arrow is an import of one room
by another, imports for type checking included. FOLDER is another checkout, for a comparison.
"""

import argparse
import ast
import tokenize
from collections import defaultdict
from pathlib import Path

import networkx as nx

PACKAGES = ("debias", "iterit")


def module_of(path: Path, root: Path) -> str:
    """Return the dotted name of a file."""
    return ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")


def imports_of(tree: ast.AST, modules: set[str]) -> set[str]:
    """Return the modules of this project that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                found.add(full if full in modules else node.module)
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found & modules


def room_of(module: str) -> str:
    """Return the room that a module stands in."""
    parts = module.split(".")
    return parts[0] if parts[0] != "debias" or len(parts) == 1 else ".".join(parts[:2])


def lines_of_code(path: Path) -> int:
    """Count the lines that hold code: no blank lines, comments or docstrings."""
    lines: set[int] = set()
    with path.open("rb") as stream:
        for token in tokenize.tokenize(stream.readline):
            if token.type in (tokenize.NAME, tokenize.NUMBER, tokenize.OP, tokenize.STRING):
                lines |= set(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            first = node.body[0] if node.body else None
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                lines -= set(range(first.lineno, (first.end_lineno or first.lineno) + 1))
    return len(lines)


def n_parameters(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Count the parameters of a function, `self` and `cls` aside."""
    names = [a.arg for a in function.args.posonlyargs + function.args.args + function.args.kwonlyargs]
    return len([name for name in names if name not in ("self", "cls")])


def measure(root: Path) -> dict[str, object]:
    """Measure one checkout."""
    files = [path for package in PACKAGES for path in sorted((root / package).rglob("*.py"))]
    modules = {module_of(path, root) for path in files}
    trees = {module_of(path, root): ast.parse(path.read_text(encoding="utf-8")) for path in files}
    graph = nx.DiGraph()
    for module, tree in trees.items():
        graph.add_node(module)
        graph.add_edges_from((module, other) for other in imports_of(tree, modules) if other != module)
    fronts = {module for module in modules if module in PACKAGES}  # public names, imported when used
    graph.remove_nodes_from(fronts)
    rooms = nx.DiGraph()
    rooms.add_nodes_from(room_of(module) for module in graph)
    rooms.add_edges_from((room_of(a), room_of(b)) for a, b in graph.edges if room_of(a) != room_of(b))
    acyclic = nx.condensation(rooms)
    parameters: dict[str, int] = {}
    n_any = n_comments = n_lines = n_all = 0
    for module, tree in trees.items():
        for node in ast.walk(tree):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                parameters[f"{module}:{node.name}"] = n_parameters(node)
            n_any += isinstance(node, ast.Name) and node.id == "Any"
    for path in files:
        n_lines += lines_of_code(path)
        n_all += path.read_text(encoding="utf-8").count("\n")
        n_comments += sum(line.lstrip().startswith("#") for line in path.read_text().splitlines())
    names: dict[tuple[str, str], list[str]] = defaultdict(list)
    for path in files:
        if not path.name.startswith("__"):
            names[path.relative_to(root).parts[0], path.name].append(str(path.relative_to(root)))
    return {
        "rooms": rooms.number_of_nodes(),
        "floors": nx.dag_longest_path_length(acyclic) + 1,
        "arrows between rooms": rooms.number_of_edges(),
        "circles of files": len([c for c in nx.strongly_connected_components(graph) if len(c) > 1]),
        "circles of rooms": len([c for c in nx.strongly_connected_components(rooms) if len(c) > 1]),
        "files": len(files),
        "file names used twice in a package": sum(len(found) > 1 for found in names.values()),
        "lines of code": n_lines,
        "comment lines": n_comments,
        "most parameters": max(parameters.values()),
        "functions with more than 12 parameters": sum(n > 12 for n in parameters.values()),
        "Any per 1,000 lines of the files": round(1000 * n_any / n_all, 1),
        "_rooms": rooms,
        "_circles": [c for c in nx.strongly_connected_components(graph) if len(c) > 1],
        "_parameters": parameters,
        "_names": {key: found for key, found in names.items() if len(found) > 1},
    }


def main() -> None:
    """Print the numbers of a checkout."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", nargs="?", type=Path, default=Path(__file__).resolve().parents[1])
    parser.add_argument("--rooms", action="store_true", help="print each room with what it imports")
    parser.add_argument("--largest", action="store_true", help="print the longest parameter lists")
    options = parser.parse_args()
    measured = measure(options.folder)
    for name, value in measured.items():
        if not name.startswith("_"):
            print(f"{name:42} {value}")
    if options.rooms:
        rooms = measured["_rooms"]
        assert isinstance(rooms, nx.DiGraph)
        for room in sorted(rooms):
            print(
                f"{room:24} -> {', '.join(sorted(other.split('.')[-1] for other in rooms.successors(room)))}"
            )
        print("circles:", measured["_circles"])
        print("names used twice:", measured["_names"])
    if options.largest:
        parameters = measured["_parameters"]
        assert isinstance(parameters, dict)
        for name, count in sorted(parameters.items(), key=lambda item: -item[1]):
            if count > 12:
                print(f"{count:3} {name}")


if __name__ == "__main__":
    main()
