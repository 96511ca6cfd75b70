"""Which of the tokens that a server returned is a label: by their ids, or by their letters."""

from debias.errors import LabelError
from debias.inference.openai.connection.server_answers import TopTokens


def find_id(top: TopTokens, token: int) -> float | None:
    """Log-probability of a token by its id; None when it is not among those returned."""
    return next((one.logprob for one in top.tokens if one.id == token), None)


def find_text(top: TopTokens, text: str, keeps_spaces: bool = True) -> float | None:
    """Log-probability of the token that reads ``text``; None when it is not among those returned.

    Parameters
    ----------
    top : TopTokens
    text : str
    keeps_spaces : bool, default=True
        Whether the server shows the space that a token begins with; where it does not, the text is
        looked for without it.

    Returns
    -------
    float or None

    Raises
    ------
    LabelError
        When two of the tokens read so, or the text ends within a letter.

    Examples
    --------
    >>> from debias.inference.openai.connection.server_answers import Token
    >>> top = TopTokens((Token(-0.7, " yes", b" yes"), Token(-0.8, "yes", b"yes")), asked=2)
    >>> find_text(top, " yes"), find_text(top, " no")
    (-0.7, None)
    """
    if "�" in text:
        raise LabelError(
            f"a label's token ends within a letter ({text!r}), and the server does not name ids of"
            " tokens; use other words as labels, or a server that echoes prompts"
        )
    piece = (text if keeps_spaces else text.removeprefix(" ")).encode()
    found = [one for one in top.tokens if one.piece == piece]
    if len(found) > 1:
        raise LabelError(
            f"the server returned {len(found)} tokens that read {text!r}, so it cannot be told"
            " which one is meant; give tokenizer= and use a server that names the ids of tokens (vLLM does),"
            " or style='echo'"
        )
    return found[0].logprob if found else None


def beginnings(top: TopTokens, text: str) -> list[float]:
    """Log-probabilities of the tokens that ``text`` begins with, and that are not all of it.

    Examples
    --------
    >>> from debias.inference.openai.connection.server_answers import Token
    >>> top = TopTokens((Token(-0.7, " A", b" A"), Token(-0.8, " Ab", b" Ab"), Token(-1, " B", b" B")), 3)
    >>> beginnings(top, " Abbey")
    [-0.7, -0.8]
    """
    forms = (text.encode(), text.lstrip(" ").encode())
    return [
        one.logprob
        for one in top.tokens
        if one.logprob is not None and one.piece and any(form.startswith(one.piece) for form in forms)
    ]
