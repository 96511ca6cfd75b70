"""The house: its rules are checked from the names of folders, with imports for type checking counted.

A room is a folder or a file directly below a package; `experiments/house.py` draws the rooms.
"""

import ast
import runpy
from collections import Counter
from pathlib import Path

import networkx as nx
import pytest

from tests.support.paths import ROOT

HOUSE = runpy.run_path(str(ROOT / "experiments" / "house.py"))
MEASURED = HOUSE["measure"](ROOT)

FLOORS = {
    0: "console pages rows errors settings version files compilation",
    1: "tables corrections",
    2: "metrics serving",
    3: "search inference guarantees",
    4: "estimators",
    5: "reports",
    6: "cli",
}
FLOORS_OF_ITERIT = {
    0: "threads row_numbers",
    1: "records ngrams",
    2: "templates selection",
    3: "scoring rounds",
    4: "training",
    5: "reports",
    6: "cli",
}
FLOOR = {
    f"{package}.{room}": floor
    for package, floors in (("debias", FLOORS), ("iterit", FLOORS_OF_ITERIT))
    for floor, rooms in floors.items()
    for room in rooms.split()
}
SEEN_BY_ITERIT = {f"debias.{room}" for room in ("inference", *FLOORS[0].split())}
"""What `iterit` may import of `debias`."""

QUESTION_WORDS = ("What", "Which", "How", "Where", "When", "Why", "Who")

FILES = sorted([*(ROOT / "debias").rglob("*.py"), *(ROOT / "iterit").rglob("*.py")])
MODULES = {HOUSE["module_of"](path, ROOT): path for path in FILES}
FRONTS = {"debias", "iterit"}
"""Both lists of public names: they import every room, and no file of a room imports them."""


def module_of(path: Path) -> str:
    return HOUSE["module_of"](path, ROOT)


def room_of(module: str) -> str:
    """The first folder or file below the package."""
    return ".".join(module.split(".")[:2])


def imports() -> list[tuple[str, str]]:
    """Return every import of one file of ours by another, wherever it stands in the file."""
    found = []
    for module, path in MODULES.items():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        found += [(module, other) for other in HOUSE["imports_of"](tree, set(MODULES)) if other != module]
    return found


FILE_IMPORTS = [(a, b) for a, b in imports() if a not in FRONTS]
ROOM_IMPORTS = {(room_of(a), room_of(b)) for a, b in FILE_IMPORTS if room_of(a) != room_of(b)}
GROUND_IMPORTS = {(a, b) for a, b in ROOM_IMPORTS if FLOOR.get(a) == FLOOR.get(b) == 0}


def circles(edges) -> list[set[str]]:
    """Return what imports itself by way of others."""
    return [group for group in nx.strongly_connected_components(nx.DiGraph(edges)) if len(group) > 1]


def test_every_room_has_a_floor():
    assert {room_of(module) for module in MODULES} - FRONTS <= set(FLOOR)


def test_a_room_imports_rooms_on_lower_floors_only():
    """On the ground floor they may import each other, in no circle."""
    within = [(a, b) for a, b in ROOM_IMPORTS - GROUND_IMPORTS if a.split(".")[0] == b.split(".")[0]]
    assert not sorted(f"{a} imports {b}" for a, b in within if FLOOR.get(b, 99) >= FLOOR.get(a, 0))


def test_no_room_imports_the_lists_of_public_names():
    assert not [f"{a} imports {b}" for a, b in FILE_IMPORTS if b in FRONTS]


def test_search_and_inference_never_see_each_other():
    pair = {"debias.search", "debias.inference"}
    assert not [edge for edge in ROOM_IMPORTS if set(edge) == pair]


def test_iterit_sees_the_engines_and_the_ground_floor_of_debias_only():
    seen = {b for a, b in ROOM_IMPORTS if a.startswith("iterit.") and b.startswith("debias.")}
    assert seen <= SEEN_BY_ITERIT
    assert not [edge for edge in ROOM_IMPORTS if edge[0].startswith("debias.") and "iterit" in edge[1]]


def test_no_circles_between_files_or_rooms():
    assert not circles(FILE_IMPORTS)
    assert not circles(ROOM_IMPORTS)


@pytest.mark.parametrize("package", ["debias", "iterit"])
def test_a_file_name_is_used_once_in_a_package(package):
    names = Counter(path.name for path in (ROOT / package).rglob("*.py") if not path.name.startswith("__"))
    assert not [name for name, times in names.items() if times > 1]


def test_a_folder_holds_at_most_ten_files():
    files = Counter(path.parent for path in FILES if not path.name.startswith("__"))
    assert not {str(folder.relative_to(ROOT)): n for folder, n in files.items() if n > 10}


def test_the_house_can_be_drawn_from_memory():
    assert MEASURED["rooms"] <= 20
    assert MEASURED["floors"] <= 8
    assert MEASURED["arrows between rooms"] <= 75
    assert MEASURED["circles of rooms"] == 0


def test_no_function_takes_more_than_twelve_parameters():
    assert not {name: n for name, n in MEASURED["_parameters"].items() if n > 12}


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_each_file_says_what_it_does_and_is_one_idea(path):
    text = path.read_text(encoding="utf-8")
    opening = ast.get_docstring(ast.parse(text))
    assert opening
    assert len(opening.splitlines()) <= 10
    assert opening.split()[0] not in QUESTION_WORDS
    assert text.count("\n") <= 400


def test_no_test_imports_another():
    """What tests share stands in tests/support."""
    borrowed = []
    for path in sorted((ROOT / "tests").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = ["." * node.level + (node.module or "")]
            else:
                continue
            borrowed += [
                f"{path.relative_to(ROOT)} imports {name}"
                for name in names
                if name.startswith((".", "tests")) and not name.startswith("tests.support.")
            ]
    assert not borrowed
