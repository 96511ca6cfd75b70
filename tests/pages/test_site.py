"""The documentation site: complete, without dead links, and loading nothing from elsewhere."""

import importlib
import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import yaml

from tests.support.paths import ROOT

PACKAGES = (
    "debias",
    "debias.corrections",
    "debias.metrics",
    "debias.search",
    "debias.serving",
    "debias.tables",
    "iterit",
)
PAGES = sorted(path for path in (ROOT / "docs").glob("*.md"))


class Read(HTMLParser):
    """What a page loads, where it leads, which anchors and pictures it has."""

    def __init__(self, path: Path):
        super().__init__()
        self.loaded, self.links, self.anchors, self.unnamed_pictures = [], [], set(), []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.anchors |= {given["id"]} if given.get("id") else set()
        if tag in ("script", "img", "iframe", "source") and given.get("src"):
            self.loaded.append(given["src"])
        if tag == "link" and given.get("rel") not in ("canonical", "prev", "next", "edit"):
            self.loaded.append(given["href"])
        if tag == "a" and given.get("href"):
            self.links.append(given["href"])
        if tag == "img" and not given.get("alt"):
            self.unnamed_pictures.append(given.get("src"))


def listed_pages(entries) -> list[str]:
    """Return the pages of the navigation in their order."""
    found = []
    for entry in entries:
        for value in entry.values():
            found += [value] if isinstance(value, str) else listed_pages(value)
    return found


def test_every_page_is_in_the_navigation():
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    named = set(listed_pages(yaml.safe_load(text)["nav"]))
    missing = {path.name for path in PAGES} - named
    assert not missing, f"add a line for each of these pages to `nav` in mkdocs.yml: {missing}"


def is_function(name: str) -> bool:
    """Tell whether package.Class.member is a method."""
    package, kind, member = name.split(".")
    return callable(getattr(getattr(importlib.import_module(package), kind), member, None))


@pytest.mark.filterwarnings("ignore")
def test_the_site_is_complete_and_loads_nothing_from_elsewhere(tmp_path, monkeypatch):
    pytest.importorskip("material", reason="needs mkdocs-material: pip install debias-iterit[docs]")
    pytest.importorskip("mkdocstrings", reason="needs mkdocstrings: pip install debias-iterit[docs]")
    from mkdocs.commands.build import build
    from mkdocs.config import load_config

    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("NO_MKDOCS_2_WARNING", "1")
    config = load_config(str(ROOT / "mkdocs.yml"), site_dir=str(tmp_path))
    config.plugins.on_startup(command="build", dirty=False)
    build(config)  # strict: a warning is an error
    pages = {path: Read(path) for path in tmp_path.rglob("*.html")}
    assert len(pages) > len(PAGES)

    elsewhere = [source for page in pages.values() for source in page.loaded if urlsplit(source).netloc]
    assert not elsewhere
    styles = "".join(path.read_text(encoding="utf-8") for path in tmp_path.rglob("*.css"))
    assert not re.search(r"(url\(|@import)\s*['\"]?https?:", styles)
    assert not [source for page in pages.values() for source in page.unnamed_pictures]

    for path, page in pages.items():
        if path.name == "404.html":
            continue
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            target = target / "index.html" if target.is_dir() else target
            assert target.exists(), f"{path.name}: {link}"
            if parts.fragment and target.suffix == ".html":
                anchor = unquote(parts.fragment)
                assert anchor in pages[target].anchors | {"__skip"}, f"{path.name}: {link}"

    anchors = set().union(*(page.anchors for page in pages.values()))
    public = [f"{one}.{name}" for one in PACKAGES for name in importlib.import_module(one).__all__]
    assert not [name for name in public if name not in anchors], "name these in docs/api-*.md"

    listed = re.findall(r"\]\(([^)]+\.md)\)", (tmp_path / "llms.txt").read_text(encoding="utf-8"))
    twins = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.md")}
    assert sorted(listed) == sorted(twins) == sorted(set(listed))
    assert {path.relative_to(tmp_path).with_suffix(".md").as_posix() for path in pages} - {"404.md"} == twins
    assert "numpy" in (tmp_path / "api-debias.md").read_text(encoding="utf-8")
    for page in ("api-debias", "api-iterit"):
        twin = (tmp_path / f"{page}.md").read_text(encoding="utf-8")
        headings = set(re.findall(r"^#{3,4} (\S+)$", twin, re.M))
        shown = pages[tmp_path / f"{page}.html"].anchors
        methods = [one for one in shown if re.fullmatch(r"\w+\.\w+\.\w+", one) and is_function(one)]
        assert len(methods) > 10 and not set(methods) - headings
    llms = (tmp_path / "llms.txt").read_text(encoding="utf-8")
    assert "```" not in llms and not re.search(r"\.md\)(: ?)?$", llms.split("## Results")[0], re.M)
    assert (tmp_path / "search" / "search_index.js").stat().st_size > 100_000
