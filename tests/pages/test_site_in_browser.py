"""The site in headless Chromium at three widths, light and dark; its search without a server."""

import functools
import http.server
import json
import shutil
import subprocess
import threading

import pytest

from tests.support.paths import ROOT

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
OPTIONS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--v=0")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.browser,
    pytest.mark.skipif(BROWSER is None, reason="no Chromium: apt-get install chromium"),
    pytest.mark.filterwarnings("ignore"),
]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site, built."""
    pytest.importorskip("material", reason="needs mkdocs-material: pip install debias-iterit[docs]")
    from mkdocs.commands.build import build
    from mkdocs.config import load_config

    folder = tmp_path_factory.mktemp("site")
    config = load_config(str(ROOT / "mkdocs.yml"), site_dir=str(folder))
    config.plugins.on_startup(command="build", dirty=False)
    build(config)
    return folder


class Received(http.server.SimpleHTTPRequestHandler):
    """Serves the site, and takes what the script found."""

    def do_POST(self):
        self.server.found = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(204)
        self.end_headers()
        self.server.done.set()

    def log_message(self, *words):
        pass


def test_every_page_fits_is_legible_and_logs_no_error(site, tmp_path):
    pages = sorted(path.relative_to(site).as_posix() for path in site.rglob("*.html"))
    pages = [page for page in pages if not page.startswith("results/") or page == "results/index.html"]
    (site / "pages.json").write_text(json.dumps(pages))
    shutil.copy(ROOT / "tests" / "pages" / "looked_at.js", site)
    (site / "look.html").write_text(
        '<!doctype html><link rel="icon" href="data:,"><body><script src="looked_at.js"></script>'
    )
    handler = functools.partial(Received, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.found, server.done = None, threading.Event()
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/look.html"
        with open(tmp_path / "log", "w+") as log:
            profile = f"--user-data-dir={tmp_path / 'profile'}"
            command = [
                BROWSER,
                *OPTIONS,
                profile,
                "--window-size=1400,1000",
                "--remote-debugging-port=0",
                address,
            ]
            browser = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=log)
            try:
                assert server.done.wait(900), "the browser sent nothing"
            finally:
                browser.terminate()
                browser.wait(30)
                server.shutdown()
            log.seek(0)
            messages = [line for line in log if "CONSOLE" in line]
    assert not server.found, "\n".join(server.found)
    assert not messages, messages[:5]


def test_the_search_works_from_a_folder(site, tmp_path):
    page = f"{(site / 'index.html').as_uri()}?q=frontier"
    profile = f"--user-data-dir={tmp_path / 'profile'}"
    command = [BROWSER, *OPTIONS, profile, "--virtual-time-budget=20000", "--dump-dom", page]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=True)
    assert "md-search-result__item" in done.stdout
    assert "frontier.html" in done.stdout
    assert "CONSOLE" not in done.stderr, done.stderr[-2000:]
