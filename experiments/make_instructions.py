"""Writes data/instructions.jsonl: 400 small instructions of this project, to try `iterit` without other data.

Run it from the repository root:

    python experiments/make_instructions.py

They are drawn with a seed from the tables below, so every answer is known to be correct. They teach a
model nothing useful, but they vary in what selection looks at: easy and hard answers, short and long
ones, many that repeat each other, and a few that are empty.
"""

import json
import random
from collections.abc import Callable
from pathlib import Path

OUT = Path(__file__).resolve().parents[1] / "data" / "instructions.jsonl"
SEED, COUNT, EMPTY = 0, 400, 4

CAPITALS = {
    "France": "Paris", "Japan": "Tokyo", "Kenya": "Nairobi", "Peru": "Lima", "Norway": "Oslo",
    "Egypt": "Cairo", "Chile": "Santiago", "Greece": "Athens", "Cuba": "Havana", "Ghana": "Accra",
}  # fmt: skip
OPPOSITES = {
    "hot": "cold", "early": "late", "full": "empty", "brave": "timid", "ancient": "modern",
    "scarce": "plentiful", "shallow": "deep", "rough": "smooth", "narrow": "wide", "calm": "restless",
}  # fmt: skip
MATERIALS = {
    "glass": ("sand", "it lets light through and does not rust", "it breaks when it falls"),
    "paper": ("wood", "it is light and takes ink well", "it tears and does not like water"),
    "steel": ("iron and a little carbon", "it bears great loads", "it rusts when it is not painted"),
    "brick": ("clay", "it keeps heat for hours", "it is heavy and cracks when the ground moves"),
    "wool": ("the coats of sheep", "it warms even when it is damp", "it shrinks in hot water"),
    "leather": ("hides", "it bends and still lasts for years", "it dries out without care"),
}
PLANS = {
    "plant a tree": ("dig a hole twice as wide as the roots", "set the tree upright", "water it slowly"),
    "bake bread": (
        "mix flour, water, salt and yeast",
        "let the dough rise",
        "bake it until it sounds hollow",
    ),
    "mend a puncture": ("find the hole under water", "roughen and glue the spot", "press a patch on it"),
    "write a letter": ("say why you write", "tell what happened in order", "close with what you hope for"),
    "pack for a hike": (
        "lay out water, food and a map",
        "put heavy things near your back",
        "keep rain clothes on top",
    ),
}
WORDS = [
    "apple", "river", "stone", "candle", "garden", "winter",
    "copper", "meadow", "lantern", "harbour", "willow", "engine",
]  # fmt: skip
Drawn = tuple[str, str, str]


def sums(draw: random.Random) -> Drawn:
    """Add or multiply two numbers."""
    a, b = draw.randint(2, 99), draw.randint(2, 99)
    if draw.random() < 0.5:
        return "Add the two numbers.", f"{a} and {b}", str(a + b)
    return f"What is {a} times {b}?", "", f"{a} times {b} is {a * b}."


def capitals(draw: random.Random) -> Drawn:
    """Name a capital."""
    country = draw.choice(sorted(CAPITALS))
    return f"What is the capital of {country}?", "", f"The capital of {country} is {CAPITALS[country]}."


def opposites(draw: random.Random) -> Drawn:
    """Name an opposite, and use both words."""
    word = draw.choice(sorted(OPPOSITES))
    other = OPPOSITES[word]
    if draw.random() < 0.5:
        return "Give the opposite of the word.", word, other
    told = f"The opposite of {word} is {other}. What was {word} yesterday may be {other} tomorrow."
    return f"Explain the opposite of {word} in two sentences.", "", told


def orders(draw: random.Random) -> Drawn:
    """Sort words."""
    words = draw.sample(WORDS, draw.randint(3, 8))
    return "Sort these words by the alphabet.", ", ".join(words), ", ".join(sorted(words))


def reversals(draw: random.Random) -> Drawn:
    """Spell a word backwards: hard for a model of word pieces."""
    word = draw.choice(WORDS)
    return "Spell the word backwards.", word, word[::-1]


def materials(draw: random.Random) -> Drawn:
    """Describe a material, or compare two."""
    first, second = draw.sample(sorted(MATERIALS), 2)
    source, good, bad = MATERIALS[first]
    about = (
        f"{first.capitalize()} is made of {source}. Its strength is that {good}; its weakness, that {bad}."
    )
    if draw.random() < 0.4:
        return f"Describe {first} in two sentences.", "", about
    source, good, bad = MATERIALS[second]
    other = f"{second.capitalize()}, made of {source}, is different: {good}, but {bad}."
    return f"Compare {first} with {second}.", "", f"{about} {other}"


def plans(draw: random.Random) -> Drawn:
    """Tell how something is done, step by step."""
    what = draw.choice(sorted(PLANS))
    steps = "\n".join(f"{number}. {step.capitalize()}." for number, step in enumerate(PLANS[what], 1))
    return f"How do I {what}?", "", f"To {what}, go step by step:\n{steps}\nTake your time with each of them."


def main() -> None:
    """Draw and write them."""
    draw = random.Random(SEED)
    kinds: list[Callable[[random.Random], Drawn]] = [
        sums, capitals, opposites, orders, reversals, materials, plans,
    ]  # fmt: skip
    rows = []
    for number in range(COUNT):
        kind = draw.choice(kinds)
        instruction, given, answer = kind(draw)
        empty = number % (COUNT // EMPTY) == 37
        rows.append(
            {
                "instruction": instruction,
                "input": given,
                "output": "" if empty else answer,
                "source": kind.__name__,
            }
        )
    OUT.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    print(f"Wrote {len(rows)} instructions")


if __name__ == "__main__":
    main()
