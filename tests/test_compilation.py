"""Compiled code is kept where there is room; a full disk or a damaged file never stops a command."""

import os
import shutil
import subprocess
import sys

import pytest

from tests.support.paths import ROOT

KERNEL = """
from debias.compilation import compiled


def add(a, b):
    return a + b


print(compiled(add)(1, 2))
"""


def run(folder, cache):
    """Compile and call a small kernel, in a process of its own."""
    (folder / "kernel.py").write_text(KERNEL)
    environment = os.environ | {"PYTHONPATH": str(ROOT), "NUMBA_CACHE_DIR": str(cache)}
    done = subprocess.run(
        [sys.executable, str(folder / "kernel.py")],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "3\n", "")


def files(cache, ending):
    return sorted(cache.rglob(f"*.{ending}"))


@pytest.mark.parametrize("ending", ["nbi", "nbc"])
@pytest.mark.parametrize(
    "damage", [lambda content: b"", lambda content: content[:30], lambda content: b"no" * 99]
)
def test_a_damaged_file_of_compiled_code_is_made_anew(tmp_path, ending, damage):
    cache = tmp_path / "cache"
    run(tmp_path, cache)
    (path,) = files(cache, ending)
    whole = path.read_bytes()
    path.write_bytes(damage(whole))
    run(tmp_path, cache)
    assert len(path.read_bytes()) == len(whole)


def test_a_full_disk_keeps_nothing_and_stops_nothing(tmp_path):
    cache = tmp_path / "disk"
    cache.mkdir()
    mount = shutil.which("mount")
    options = ["-t", "tmpfs", "-o", "size=16k", "tmpfs", str(cache)]
    if mount is None or subprocess.run([mount, *options], capture_output=True, check=False).returncode:
        pytest.skip("mounting a small disk is not allowed here")
    try:
        (cache / "ballast").write_bytes(bytes(8_000))
        run(tmp_path, cache)
        assert not files(cache, "nbc")
    finally:
        subprocess.run(["umount", str(cache)], check=True)
