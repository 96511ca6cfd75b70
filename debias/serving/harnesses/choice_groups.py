"""Groups the flat list of requests of a multiple-choice task by document.

lm-evaluation-harness makes one request per document and choice, one after the other. A task with
``acc_mutual_info`` makes each document's requests a second time, without the prompt.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from typing import NamedTuple

from debias.errors import ParameterError


class DocumentChoices(NamedTuple):
    """The requests of one document.

    Parameters
    ----------
    start : int
        Place of its first request in the list.
    names : tuple of str
        Its choices in the order of the requests.
    n_requests : int
        As many as there are choices, or twice as many: the second half has no prompt.
    """

    start: int
    names: tuple[str, ...]
    n_requests: int


def group_by_document(
    documents: Sequence[object], choices_of: Callable[[object], Sequence[str]]
) -> list[DocumentChoices]:
    """Return the requests of each document.

    Equal documents are not the same: requests belong together where their document is one object, as
    the harness makes them.

    Parameters
    ----------
    documents : sequence
        The document of every request.
    choices_of : callable
        Takes a document and returns its choices in their order.

    Returns
    -------
    list of DocumentChoices
        In the order of the list.

    Raises
    ------
    ParameterError
        A document has neither one request per choice nor two, or not as many per choice as the first.

    Examples
    --------
    >>> first, second = {"text": "It crashes"}, {"text": "It crashes"}
    >>> flat = [first, first, second, second]
    >>> group_by_document(flat, lambda document: ["Bug", "Billing"])
    [DocumentChoices(start=0, names=('Bug', 'Billing'), n_requests=2),
     DocumentChoices(start=2, names=('Bug', 'Billing'), n_requests=2)]
    >>> group_by_document(flat, lambda document: ["Bug", "Billing", "Question"])
    Traceback (most recent call last):
        ...
    debias.errors.ParameterError: row 0: a document has 2 requests for 3 choices, ...
    """
    groups: list[DocumentChoices] = []
    for _, run in groupby(range(len(documents)), key=lambda place: id(documents[place])):
        places = list(run)
        names = tuple(choices_of(documents[places[0]]))
        groups.append(DocumentChoices(places[0], names, len(places)))
    per_choice = {1, 2} if not groups else {groups[0].n_requests // max(len(groups[0].names), 1)} & {1, 2}
    for row, group in enumerate(groups):
        if not any(group.n_requests == times * len(group.names) for times in per_choice):
            raise ParameterError(
                f"a document has {group.n_requests} requests for {len(group.names)} choices, and must have"
                " one per choice, or two with acc_mutual_info, as the documents before it",
                parameter="choices",
                received=group.names,
                fix="pass the choices that the task has in doc_to_choice, in the same order",
                row=row,
            )
    return groups


def log_likelihoods(responses: Iterable[object]) -> tuple[list[float], list[object]]:
    """Return the log-likelihood of every request, and whether it was the greedy answer.

    Parameters
    ----------
    responses : iterable
        Pairs of a log-likelihood and a flag, as after the filter ``take_first``; or lists of such pairs,
        as the harness holds them, of which the first counts.

    Returns
    -------
    values : list of float
    flags : list

    Raises
    ------
    ParameterError
        A response is not that of a multiple-choice task.

    Examples
    --------
    >>> log_likelihoods([(-1.5, True), [(-2.0, False)]])
    ([-1.5, -2.0], [True, False])
    >>> log_likelihoods([["Bug"]])
    Traceback (most recent call last):
        ...
    debias.errors.ParameterError: row 0: ...
    """
    values: list[float] = []
    flags: list[object] = []
    for row, response in enumerate(responses):
        pair = response
        while isinstance(pair, list | tuple) and pair and isinstance(pair[0], list | tuple):
            pair = pair[0]
        if not (isinstance(pair, list | tuple) and len(pair) == 2 and _is_number(pair[0])):
            raise ParameterError(
                parameter="resps",
                allowed="log-likelihoods with flags, those of a task with output_type: multiple_choice",
                received=response,
                row=row,
            )
        values.append(float(pair[0]))
        flags.append(pair[1])
    return values, flags


def _is_number(value: object) -> bool:
    """Whether it is a number, of numpy or of Python; a flag is none."""
    return hasattr(value, "__float__") and not isinstance(value, bool | str)
