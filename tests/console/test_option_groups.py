"""Commands made from frozen dataclasses: options, defaults, choices, checks, and their help."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from debias.console.command_group import Interrupted, make_program
from debias.console.option_groups import Only
from debias.errors import Kept, ParameterError, param
from debias.settings import Settings, setting


@dataclass(frozen=True)
class Oven(Settings):
    degrees: int = setting(180, "How hot it is [°C].", least=50, most=250)
    mode: str | None = setting(None, "What heats.", one_of=("fan", "top/bottom"))
    n_trays: int = setting(1, "Trays.", option="--trays", panel="Room")
    steam: bool = setting(False, "Add steam.")
    light: bool = setting(True, "Switch the light on.")
    folder: Path = setting(Path("recipes"), "Where recipes are.")
    serial: int = setting(7, "")


def bake(
    cake: Annotated[str, typer.Argument()],
    *,
    minutes: Annotated[int, typer.Option("--time", help="Minutes [min].")] = 40,
    oven: Oven,
) -> None:
    """Bake something from cookbook[sweet]."""
    if cake == "none":
        raise ParameterError(parameter="minutes", received=minutes, allowed="more", fix=param("n_trays", "2"))
    if cake == "stop":
        raise Interrupted("the dough is kept")
    if cake == "kill":
        error = KeyboardInterrupt()
        Kept("dough.run", 3).attach(error)
        raise error
    print(cake, minutes, oven)


def grill(oven: Annotated[Oven, Only("degrees")]) -> None:
    """Grill."""
    print(oven)


APP = make_program("cook", (bake, grill), summary="Cook.", start="cook bake bread", kept="nothing is cooked")


def run(*words: str, code: int = 0) -> str:
    done = CliRunner(env={"COLUMNS": "100"}).invoke(APP, words)
    assert done.exit_code == code, done.output
    return done.stdout if code == 0 else done.stderr


def test_settings_reach_the_command_as_one_object():
    assert run("bake", "bread") == f"bread 40 {Oven()}\n"
    words = [
        "--degrees",
        "220",
        "--mode",
        "top/bottom",
        "--trays",
        "2",
        "--steam",
        "--no-light",
        "--folder",
        "x",
    ]
    made = Oven(220, "top/bottom", 2, True, False, Path("x"))
    assert run("bake", "bread", *words, "--time", "5") == f"bread 5 {made}\n"
    assert run("grill", "--degrees", "60") == f"{Oven(60)}\n"


@pytest.mark.parametrize("words", [["--mode", "fan"], ["--serial", "1"]])
def test_only_the_options_that_were_asked_for_exist(words):
    assert words[0] in run("grill", *words, code=2)


def test_settings_check_themselves_in_the_words_of_the_command():
    assert run("bake", "bread", "--degrees", "20", code=2).strip() == (
        "cook: error: --degrees must be an integer from 50 to 250, got 20."
    )
    assert "'grill'" in run("bake", "bread", "--mode", "grill", code=2)
    said = run("bake", "none", code=2)
    assert "--time must be more, got 40; --trays 2" in said


def test_an_interruption_says_what_is_kept():
    assert run("bake", "stop", code=130) == "cook: interrupted: the dough is kept.\n"
    assert run("bake", "kill", code=130) == f"cook: interrupted: {Kept('dough.run', 3).render({})}\n"


def test_help_has_panels_and_keeps_brackets():
    shown = run("bake", "--help")
    for words in ("[°C]", "[min]", "cookbook[sweet]", "Room", "--light", "--no-light", "fan|top/bottom"):
        assert words in shown
    assert "--no-steam" not in shown
