"""A page in Chromium: measured by a script that is added to a copy of it, photographed, and printed."""

import importlib.util
import json
import re
import subprocess
import sys
from html import unescape

import pytest

from tests.support.paths import ROOT

needs_browser = pytest.mark.skipif(
    importlib.util.find_spec("PySide6") is None, reason="needs Chromium from a wheel: make test-browser"
)

_MEASURE = """
<script>
addEventListener("load", () => {
  for (const one of document.querySelectorAll("details")) one.open = true;
  const linear = v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
  const parse = text => {
    const numbers = (text.match(/-?[\\d.]+(e-?\\d+)?%?/g) || []).map(n => parseFloat(n));
    if (text.startsWith("color(")) return [...numbers.slice(0, 3).map(n => 255 * n), numbers[3] ?? 1];
    return [numbers[0], numbers[1], numbers[2], numbers[3] ?? 1];
  };
  const over = (top, below) => [0, 1, 2].map(k => top[k] * top[3] + below[k] * (1 - top[3])).concat(1);
  const ground = node => {
    const layers = [];
    for (let at = node; at instanceof Element; at = at.parentElement)
      layers.push(parse(getComputedStyle(at).backgroundColor || "rgba(0,0,0,0)"));
    return layers.reverse().reduce((below, top) => over(top, below), [255, 255, 255, 1]);
  };
  const light = c => .2126 * linear(c[0] / 255) + .7152 * linear(c[1] / 255) + .0722 * linear(c[2] / 255);
  const ratio = (a, b) => (Math.max(light(a), light(b)) + .05) / (Math.min(light(a), light(b)) + .05);
  const faint = [], small = [], unnamed = [], outside = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let text; text = walker.nextNode();) {
    const node = text.parentElement, box = node.getBoundingClientRect(), style = getComputedStyle(node);
    if (!text.data.trim() || /SCRIPT|STYLE/.test(node.tagName) || !box.width || box.right < 0) continue;
    const inPicture = node.closest("svg");
    const colour = parse(inPicture ? style.fill : style.color), behind = ground(inPicture || node);
    const shown = over(colour, behind);
    if (ratio(shown, behind) < 4.5) faint.push([text.data.trim().slice(0, 40), ratio(shown, behind)]);
    let size = parseFloat(style.fontSize);
    if (inPicture) size *= inPicture.getBoundingClientRect().width / inPicture.viewBox.baseVal.width;
    if (size < 10.95) small.push([text.data.trim().slice(0, 40), size]);
    const room = node.closest(".scroll");
    if (!room && box.right > innerWidth + 1) outside.push(text.data.trim().slice(0, 40));
  }
  for (const one of document.querySelectorAll("svg, img"))
    if (!(one.getAttribute("aria-label") || one.getAttribute("alt")))
      unnamed.push(one.outerHTML.slice(0, 60));
  const hidden = [...document.querySelectorAll(".scroll")]
    .filter(one => one.scrollWidth > one.clientWidth + 1).map(one => one.getAttribute("aria-label"));
  const wide = document.documentElement.scrollWidth - innerWidth;
  const found = {faint, small, unnamed, outside, hidden, wide};
  const note = document.createElement("pre");
  note.id = "measured"; note.textContent = JSON.stringify(found); document.body.append(note);
});
</script>
"""


def command_of(address, *options, width=1100, height=1600, dark=False):
    """Return the command that opens a page."""
    size = [f"--width={width}", f"--height={height}", *(["--dark"] if dark else [])]
    return [sys.executable, "-m", "tests.support.chromium", address, *size, *options]


def browse(page, *options, **how):
    """Open a page of a file; return its source, and what its console said."""
    command = command_of(page if isinstance(page, str) else page.as_uri(), *options, **how)
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout, said(done.stderr)


def said(log):
    """Return what the console said, of all that a browser writes."""
    return [line for line in log.splitlines() if line.startswith("CONSOLE")]


def measured(page, width, dark=False):
    """Return texts that are faint (contrast under 4.5), small (under 11 pixels) or outside the page, pictures
    without a name, tables of which a part is hidden, and how much wider than the window the page is.
    """
    copy = page.with_name(f"{page.stem}-measured.html")
    copy.write_text(page.read_text().replace("</body>", f"{_MEASURE}</body>"))
    source, messages = browse(copy, "--until=document.querySelector('#measured')", width=width, dark=dark)
    assert not messages
    return json.loads(unescape(re.search(r'<pre id="measured">(.*?)</pre>', source, re.DOTALL)[1]))
