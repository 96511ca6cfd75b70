"""Complete the site while MkDocs builds it: results, the changelog, notebooks, Markdown twins, llms.txt.

MkDocs calls the functions whose names begin with ``on_``. Pages stay readable where they lie:
links that leave docs/ are for the repository, and are rewritten here.
"""

import ast
import json
import posixpath
import re
from functools import cache
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.nav import Navigation
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
LINK = re.compile(r"\]\((?!https?:|#|mailto:)([^)#\s]+)(#[^)\s]*)?\)")
DIRECTIVE = re.compile(r"^::: ([\w.]+)$", re.M)
ROLE = re.compile(r":(?:class|func|meth|attr|mod|exc):<code>(?:~[\w.]*\.)?([^<]*)</code>")

_twins: dict[str, str] = {}
"""Markdown of each page by its address in the folder of the site."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that lie elsewhere: committed results, the changelog, notebooks."""
    results = sorted((ROOT / "experiments" / "results").glob("*.md"))
    pages = {f"results/{path.name}": path.read_text(encoding="utf-8") for path in results}
    pages["results/index.md"] = list_of_results(results)
    pages["changelog.md"] = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    for path in sorted((ROOT / "docs" / "notebooks").glob("*.ipynb")):
        pages[f"notebooks/{path.stem}.md"] = notebook_page(path)
    for address, text in pages.items():
        files.append(File.generated(config, address, content=text))
    for path in sorted((ROOT / "experiments" / "results").glob("*.png")):
        files.append(File.generated(config, f"results/{path.name}", abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Rewrite links that leave docs/, and keep the page's Markdown twin."""
    address = page.file.src_uri
    repository = str(config.repo_url).rstrip("/")
    markdown = LINK.sub(lambda match: rewritten(match, address, repository), markdown)
    _twins[address] = DIRECTIVE.sub(lambda match: described(match[1]), markdown)
    return markdown


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Show roles of docstrings as plain code; make wide tables scroll by keyboard."""
    return ROLE.sub(r"<code>\1</code>", html).replace("<pre><code>", '<pre tabindex="0"><code>')


def on_nav(nav: Navigation, config: MkDocsConfig, files: Files) -> Navigation:
    """Keep the order of the pages for llms.txt."""
    config.extra["nav_pages"] = list(nav.pages)
    return nav


def on_post_build(config: MkDocsConfig) -> None:
    """Write a Markdown twin beside each page, and llms.txt, which lists them."""
    site = Path(config.site_dir)
    for address, text in _twins.items():
        path = site / address
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    pages: list[Page] = config.extra["nav_pages"]
    lines = [f"# {config.site_name}", "", f"> {config.site_description}", ""]
    section = None
    for page in pages:
        title = page.parent.title if page.parent else ""
        if title != section:
            section = title
            lines += ["", f"## {section}", ""]
        lines.append(f"- [{page.title}]({page.file.src_uri}): {first_sentence(_twins[page.file.src_uri])}")
    others = sorted(set(_twins) - {page.file.src_uri for page in pages})
    lines += ["", "## Results", "", *(f"- [{title_of(_twins[one])}]({one})" for one in others)]
    (site / "llms.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    _twins.clear()


def rewritten(match: re.Match[str], address: str, repository: str) -> str:
    """Return a link of a page with its target in the site, or in the repository."""
    target, anchor = match[1], match[2] or ""
    folder = posixpath.dirname(address)
    home = {"results": "experiments/results", "": "." if address == "changelog.md" else "docs"}
    place = posixpath.normpath(posixpath.join(home.get(folder, f"docs/{folder}"), target))
    if place.startswith("docs/"):
        there = place.removeprefix("docs/")
    elif place == "experiments/results":
        there = "results/index.md"
    elif place.startswith("experiments/results/") and place.endswith((".md", ".png")):
        there = f"results/{posixpath.basename(place)}"
    else:
        return f"]({repository}/blob/main/{place}{anchor})"
    return f"]({posixpath.relpath(there, folder or '.')}{anchor})"


def title_of(markdown: str) -> str:
    """Return the first heading of a page."""
    found = re.search(r"^# (.+)$", markdown, re.M)
    return found[1].strip() if found else ""


def first_sentence(markdown: str) -> str:
    """Return the first sentence of a page's text."""
    paragraphs = re.split(r"\n\s*\n", re.sub(r"^```.*?^```", "", markdown, flags=re.M | re.S))
    plain = (part for part in paragraphs if re.match(r"[A-Za-z`\"]", part))
    text = " ".join(next(plain, "").split())
    text = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", text)
    return re.split(r"(?<=[.?!:])\s", text)[0].rstrip(":")


def list_of_results(paths: list[Path]) -> str:
    """Write the page that lists all results."""
    lines = ["# All results", ""]
    lines += [
        "Each page was written by one script of `experiments/`, whose settings are in a TOML file beside"
    ]
    lines += ["it. Results are committed as they came, whoever wins.", ""]
    lines += [f"- [{title_of(path.read_text(encoding='utf-8'))}]({path.name})" for path in paths]
    return "\n".join(lines) + "\n"


def notebook_page(path: Path) -> str:
    """Write a notebook as a page: its text, its code and what the code printed."""
    cells: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["cells"]
    parts = []
    for cell in cells:
        source = "".join(cell["source"])
        parts.append(source if cell["cell_type"] == "markdown" else f"```python\n{source}\n```")
        for output in cell.get("outputs", []):
            text = "".join(output.get("text") or output.get("data", {}).get("text/plain", []))
            if text.strip():
                parts.append(f"```text\n{text.rstrip()}\n```")
    parts.append(f"[The notebook itself]({path.name}), to run it.")
    return "\n\n".join(parts) + "\n"


def described(name: str) -> str:
    """Return a public name with its signature, docstring and methods, for the twin of a reference page."""
    package, _, attribute = name.rpartition(".")
    path, thing = defined(ROOT / package.replace(".", "/") / "__init__.py", attribute)
    members = members_of(path, thing)
    made = members.pop("__init__", None) if isinstance(thing, ast.ClassDef) else thing
    parts = [f"### {name}", call(attribute, made), ast.get_docstring(thing) or ""]
    for member, node in members.items():
        text = ast.get_docstring(node)
        if text and (member.startswith("__") or not member.startswith("_")):
            parts += [f"#### {name}.{member}", "" if is_property(node) else call(member, node), text]
    return "\n\n".join(part for part in parts if part)


def call(name: str, function: ast.FunctionDef | None) -> str:
    """Return the signature of a function, or of what a class is made with."""
    arguments = "" if function is None else re.sub(r"^(self|cls)(, )?", "", ast.unparse(function.args))
    return f"```python\n{name}({arguments})\n```"


def is_property(function: ast.FunctionDef) -> bool:
    """Tell whether a method is read like an attribute."""
    return any("property" in ast.unparse(one) for one in function.decorator_list)


def defined(path: Path, name: str) -> tuple[Path, Any]:
    """Return a class or function by its name in a file that defines or imports it, and where it is."""
    for node in parsed(path):
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == name:
            return path, node
        if isinstance(node, ast.ImportFrom) and any(one.name == name for one in node.names):
            home = ROOT / str(node.module).replace(".", "/")
            there = home / "__init__.py" if home.is_dir() else home.with_suffix(".py")
            if there.exists():
                return defined(there, name)
    return path, None


def members_of(path: Path, thing: Any) -> dict[str, ast.FunctionDef]:
    """Return the methods of a class by name: its own, then those it inherits within this repository."""
    if not isinstance(thing, ast.ClassDef):
        return {}
    members = {node.name: node for node in thing.body if isinstance(node, ast.FunctionDef)}
    for base in thing.bases:
        if isinstance(base, ast.Name):
            inherited = members_of(*defined(path, base.id))
            members |= {name: node for name, node in inherited.items() if name not in members}
    return members


@cache
def parsed(path: Path) -> list[ast.AST]:
    """Return the definitions and imports of a file, which is not imported: some load model libraries."""
    return [
        node
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom | ast.ClassDef | ast.FunctionDef)
    ]
