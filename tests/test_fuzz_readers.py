"""Damaged files of every format meet our own errors or are read; `make fuzz` damages many more."""

import importlib.util
import sys
import warnings

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.paths import ROOT

FOLDER = ROOT / "experiments"


@pytest.fixture(scope="module")
def fuzz():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(FOLDER)
        spec = importlib.util.spec_from_file_location("fuzz_readers_here", FOLDER / "fuzz_readers.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        yield module
    for name in [name for name in sys.modules if name.startswith("sound_files")]:
        del sys.modules[name]


@pytest.fixture(scope="module")
def sounds(fuzz, tmp_path_factory):
    """Sound files with their content, and a folder for damaged ones."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = [*fuzz.sound_files(tmp_path_factory.mktemp("sound"))]
        contents = [fuzz.content_of(sound) for sound in found]
    return [*zip(found, contents, strict=True)], tmp_path_factory.mktemp("damaged") / "here"


def test_every_kind_of_file_is_there(sounds):
    names = " ".join(sound.name for sound, _ in sounds[0])
    for kind in ("CSV", "JSON Lines", "harness", "Feather", "zstd", "TOML", "scores", "own: table"):
        assert kind in names
    for kind in ("trees", "affine", "served", "signed anew", "run folder", "checkpoints", "rounds.json"):
        assert kind in names


@settings(max_examples=150, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(place=st.integers(0, 2**20), number=st.integers(0, 2**31))
def test_a_damaged_file_meets_an_error_of_ours_or_is_read(fuzz, sounds, place, number):
    found, folder = sounds
    sound, content = found[place % len(found)]
    fuzz.put_damaged(sound, (sound.folder / sound.file).read_bytes(), number, folder)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        outcome, said = fuzz.outcome_of(sound, folder, content)
    assert outcome not in fuzz.BAD, f"{sound.name}, {number}: {outcome}: {said}"
