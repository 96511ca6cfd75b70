"""Writes questions and answers in German, Spanish, French and Italian, from sentences with gaps.

They are plain and correct, and as long as is asked for, so that only their language sets them apart.
"""

from typing import NamedTuple

import numpy as np


class Language(NamedTuple):
    """Sentences of a language and what fills their gaps.

    Attributes
    ----------
    questions : tuple of str
        Each with the gap ``{what}``.
    sentences : tuple of str
        With the gaps ``{who}``, ``{where}``, ``{when}`` and ``{number}``, or with none.
    what, who, where, when : tuple of str
    """

    questions: tuple[str, ...]
    sentences: tuple[str, ...]
    what: tuple[str, ...]
    who: tuple[str, ...]
    where: tuple[str, ...]
    when: tuple[str, ...]


LANGUAGES = {
    "de": Language(
        (
            "Schreibe einen kurzen Text über {what}.",
            "Was weißt du über {what}?",
            "Erkläre mir {what} in einfachen Worten.",
        ),
        (
            "{who} wohnt seit {number} Jahren {where}.",
            "{when} ging {who} mit {number} Freunden spazieren.",
            "Dort gibt es {number} Häuser und einen kleinen See.",
            "{who} erzählte gern davon, wie ruhig es {where} ist.",
            "Das Wetter war {when} schön, und alle waren zufrieden.",
            "Man braucht dafür etwa {number} Minuten und ein wenig Geduld.",
        ),
        (
            "den Frühling",
            "das Brotbacken",
            "eine Reise ans Meer",
            "den alten Garten",
            "die Bienen",
            "unsere Schule",
        ),
        ("Anna", "Herr Weber", "die Lehrerin", "mein Nachbar", "Jonas"),
        ("am Waldrand", "in der Altstadt", "auf dem Land", "an der Küste"),
        ("gestern", "am Sonntag", "im Mai", "letzten Winter"),
    ),
    "es": Language(
        (
            "Escribe un texto breve sobre {what}.",
            "¿Qué sabes de {what}?",
            "Explícame {what} con palabras sencillas.",
        ),
        (
            "{who} vive {where} desde hace {number} años.",
            "{when} {who} salió a pasear con {number} amigos.",
            "Allí hay {number} casas y un lago pequeño.",
            "A {who} le gusta contar lo tranquila que es la vida {where}.",
            "{when} hizo buen tiempo y todos estaban contentos.",
            "Para eso hacen falta unos {number} minutos y un poco de paciencia.",
        ),
        (
            "la primavera",
            "la masa del pan",
            "un viaje al mar",
            "nuestro jardín",
            "las abejas",
            "nuestra escuela",
        ),
        ("Lucía", "don Manuel", "la maestra", "mi vecino", "Diego"),
        ("junto al bosque", "en el casco antiguo", "en el campo", "en la costa"),
        ("ayer", "el domingo", "en mayo", "el invierno pasado"),
    ),
    "fr": Language(
        (
            "Écris un court texte sur {what}.",
            "Que sais-tu de {what} ?",
            "Explique-moi {what} avec des mots simples.",
        ),
        (
            "{who} habite {where} depuis {number} ans.",
            "{when}, {who} est parti en promenade avec {number} amis.",
            "Il y a là {number} maisons et un petit lac.",
            "{who} aime raconter combien la vie est calme {where}.",
            "{when}, il faisait beau et tout le monde était content.",
            "Il faut pour cela environ {number} minutes et un peu de patience.",
        ),
        (
            "la fête du printemps",
            "la recette du pain",
            "la visite au bord de la mer",
            "la vie au jardin",
            "la ruche",
            "la petite école",
        ),
        ("Paul", "monsieur Martin", "le professeur", "mon voisin", "Hugo"),
        ("près de la forêt", "dans la vieille ville", "à la campagne", "sur la côte"),
        ("hier", "dimanche", "en mai", "l'hiver dernier"),
    ),
    "it": Language(
        (
            "Scrivi un breve testo su {what}.",
            "Che cosa sai di {what}?",
            "Spiegami {what} con parole semplici.",
        ),
        (
            "{who} abita {where} da {number} anni.",
            "{when} {who} fece una passeggiata con {number} amici.",
            "Lì ci sono {number} case e un piccolo lago.",
            "A {who} piace raccontare quanto è tranquilla la vita {where}.",
            "{when} faceva bel tempo ed erano tutti contenti.",
            "Ci vogliono circa {number} minuti e un po' di pazienza.",
        ),
        (
            "questa primavera",
            "come si fa il pane",
            "un viaggio al mare",
            "questo vecchio giardino",
            "come vivono le api",
            "questa scuola",
        ),
        ("Giulia", "Carlo", "Marta", "Luca"),
        ("vicino al bosco", "nel centro storico", "in campagna", "sulla costa"),
        ("ieri", "domenica", "a maggio", "l'inverno scorso"),
    ),
}
"""Languages by their codes (ISO 639-1)."""


def foreign_pair(language: str, n_words: int, random: np.random.Generator) -> tuple[str, str]:
    """Return a question and an answer of about so many words.

    Parameters
    ----------
    language : {"de", "es", "fr", "it"}
    n_words : int
        The answer has this many words, or ends with the sentence in which it gets there.
    random : numpy Generator

    Returns
    -------
    question, answer : str

    Examples
    --------
    >>> foreign_pair("de", 5, np.random.default_rng(0))
    ('Erkläre mir den alten Garten in einfachen Worten.', 'Die Lehrerin wohnt seit 8 Jahren in der Altstadt.')
    """
    of = LANGUAGES[language]

    def drawn(words: tuple[str, ...]) -> str:
        return words[random.integers(len(words))]

    question = drawn(of.questions).format(what=drawn(of.what))
    sentences: list[str] = []
    while not sentences or len(" ".join(sentences).split()) < n_words:
        gaps = {"who": drawn(of.who), "where": drawn(of.where), "when": drawn(of.when)}
        sentence = drawn(of.sentences).format(**gaps, number=random.integers(2, 90))
        sentences.append(sentence[0].upper() + sentence[1:])
    return question, " ".join(sentences)
