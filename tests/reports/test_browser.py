"""The page in a real browser, light and dark: slow, and only where Chromium is installed."""

import shutil
import subprocess

import matplotlib.image
import numpy as np
import pytest

from tests.support.small_reports import HOSTILE, report

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason="no Chromium: apt-get install chromium"),
]


def browse(page, *options):
    fixed = (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--hide-scrollbars",
        "--window-size=1100,1600",
    )
    command = [str(BROWSER), *fixed, *options, page.as_uri()]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout


def test_the_page_in_a_browser(tmp_path):
    page = tmp_path / "report.html"
    report((HOSTILE, "Sports")).to_html(page)
    source = browse(page, "--dump-dom")
    assert source.count("<svg") == 3
    assert "<script" not in source
    shots = {}
    for name, option in (
        ("light", "--disable-features=x"),
        ("dark", "--blink-settings=preferredColorScheme=0"),
    ):
        browse(page, option, f"--screenshot={tmp_path / name}.png")
        shots[name] = matplotlib.image.imread(tmp_path / f"{name}.png")[..., :3].mean(axis=-1)
    assert np.median(shots["light"]) > 0.9
    assert np.median(shots["dark"]) < 0.2
    assert (shots["light"] < 0.3).mean() > 0.003  # ink on the page
    assert (shots["dark"] > 0.7).mean() > 0.003
