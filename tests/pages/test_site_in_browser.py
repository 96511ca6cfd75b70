"""The site in headless Chromium at three widths, light and dark; its search without a server."""

import functools
import http.server
import json
import shutil
import subprocess
import threading

import pytest

from tests.support.browser import browse, command_of, needs_browser, said
from tests.support.paths import ROOT

pytestmark = [
    pytest.mark.slow,
    pytest.mark.browser,
    needs_browser,
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
            command = command_of(address, "--until=false", width=1400, height=1000)
            browser = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=log, cwd=ROOT)
            try:
                assert server.done.wait(900), "the browser sent nothing"
            finally:
                browser.terminate()
                browser.wait(30)
                server.shutdown()
            log.seek(0)
            messages = said(log.read())
    assert not server.found, "\n".join(server.found)
    assert not messages, messages[:5]


def test_the_search_works_from_a_folder(site, tmp_path):
    page = f"{(site / 'index.html').as_uri()}?q=frontier"
    source, messages = browse(page, "--until=document.querySelector('.md-search-result__item')")
    assert "frontier.html" in source
    assert not messages
