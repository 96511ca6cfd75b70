"""A small task about questions, with a demonstration, texts and their labels."""

from debias.inference.texts.tasks import Demonstration, Task

TASK = Task(
    "answer-type",
    labels=["Number of things", "Number of places", "Person"],
    class_names=["things", "places", "people"],
    question_prefix="Question: ",
    answer_prefix="Answer Type: ",
)


SHOWN = (Demonstration("Who wrote it ?", "people", "row-9"),)


TEXTS = [
    f"How many {word} are there ?"
    for word in ["books", "planets", "rivers", "towns", "words", "stars", "seas", "men", "laws", "days"]
]


LABELS = ["things"] * 7 + ["people", "things", "places"]
