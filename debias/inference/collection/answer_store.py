"""All answers that a run can use: its own, those that other runs were given, and where each one is.

Only keys stay in memory (24 bytes each); answers are read from their files, the last few of which are
kept. Without a folder all answers stay in memory.
"""

from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from debias.errors import ResumeError
from debias.inference.collection.answers import Answers, read_answers, write_answers
from debias.inference.collection.hash_index import DigestArray, DigestIndex, IndexArray
from debias.inference.collection.journal import Journal, read_journal
from debias.inference.collection.run_folder import RunFolder, storage_errors
from debias.inference.engine import BoolArray, FloatArray

_IN_MEMORY = 16
_ROW_BITS = 32


class AnswerStore:
    """Answers by key.

    Parameters
    ----------
    n_labels : int
    folder : RunFolder, optional
        Locked; where new answers go.
    others : sequence of Path, optional
        Folders of other runs, which are only read.

    Attributes
    ----------
    n_own : int
        Answers of this run, those of earlier starts included.

    Examples
    --------
    >>> store = AnswerStore(n_labels=2)
    >>> keys = np.array([[1, 2]], dtype=np.uint64)
    >>> store.save(0, Answers(keys, np.log([[0.5, 0.25]]), np.zeros((1, 2), bool)))
    >>> np.exp(store.fetch(store.find(keys)).logprobs)
    array([[0.5 , 0.25]])
    """

    def __init__(
        self,
        n_labels: int,
        folder: RunFolder | None = None,
        others: Sequence[Path] = (),
    ) -> None:
        self.n_labels, self.folder = n_labels, folder
        self.n_own = self._n_single = 0
        self._index = DigestIndex()
        self._sources: list[Path | Answers] = []
        self._is_other: list[bool] = []
        self._recent: OrderedDict[int, Answers] = OrderedDict()
        self._journal = None if folder is None else Journal(folder.journal, n_labels)
        if folder is not None:
            self._load_own(folder)
        for other in others:
            self._load_other(RunFolder(other))

    def _load_own(self, folder: RunFolder) -> None:
        """Know the answers of earlier starts; those that came singly get a file of their own."""
        for path in folder.answer_files():
            answers = read_answers(path, self.n_labels)
            if answers is not None:
                self._remember(path, answers)
        singly = read_journal(folder.journal, self.n_labels)
        if singly is not None:
            path = self._free_path(folder, len(self._sources), "single")
            with storage_errors(folder.path):
                write_answers(path, singly)
            self._remember(path, singly)
        folder.journal.unlink(missing_ok=True)

    def _load_other(self, folder: RunFolder) -> None:
        """Know the answers of another run, which may be at work."""
        for path in folder.answer_files():
            answers = read_answers(path, self.n_labels)
            if answers is not None:
                self._remember(path, answers, is_other=True)
        singly = read_journal(folder.journal, self.n_labels)
        if singly is not None:
            self._remember(singly, singly, is_other=True)

    def _remember(self, source: Path | Answers, answers: Answers, is_other: bool = False) -> None:
        """Put answers into the index."""
        first = len(self._sources) << _ROW_BITS
        self._index.add(answers.keys, first + np.arange(len(answers), dtype=np.int64))
        self._sources.append(source)
        self._is_other.append(is_other)
        self.n_own += 0 if is_other else len(answers)

    @property
    def n_kept(self) -> int:
        """Answers that the next start will find."""
        return self.n_own + self._n_single

    def find(self, keys: DigestArray) -> IndexArray:
        """Return the place of each answer, -1 where there is none.

        Parameters
        ----------
        keys : uint64 array, shape (n, 2)

        Returns
        -------
        int64 array, shape (n,)
        """
        return self._index.find(keys)

    def fetch(self, places: IndexArray) -> Answers:
        """Return answers by their places.

        Parameters
        ----------
        places : int64 array, shape (n,)

        Returns
        -------
        Answers
            With the facts of the first.

        Raises
        ------
        ResumeError
            A file went missing since the run began.
        """
        shape = (len(places), self.n_labels)
        keys = np.empty((len(places), 2), dtype=np.uint64)
        logprobs: FloatArray = np.empty(shape)
        is_bound: BoolArray = np.empty(shape, dtype=np.bool_)
        sources = places >> _ROW_BITS
        for source in np.unique(sources):
            here = np.flatnonzero(sources == source)
            answers, rows = self._answers(int(source)), places[here] & ((1 << _ROW_BITS) - 1)
            keys[here], logprobs[here] = answers.keys[rows], answers.logprobs[rows]
            is_bound[here] = answers.is_bound[rows]
        facts = self._answers(int(sources[0])).facts if len(places) else {}
        return Answers(keys, logprobs, is_bound, facts)

    def count_others(self, places: IndexArray) -> int:
        """Return how many of some places are in other runs."""
        return int(np.array(self._is_other, dtype=np.bool_)[places >> _ROW_BITS].sum())

    def _answers(self, source: int) -> Answers:
        """Answers of one file."""
        kept = self._sources[source]
        if isinstance(kept, Answers):
            return kept
        if source in self._recent:
            self._recent.move_to_end(source)
            return self._recent[source]
        answers = read_answers(kept, self.n_labels)
        if answers is None:
            raise ResumeError(f"{kept} went missing during the run; run again to compute it")
        self._keep_recent(source, answers)
        return answers

    def _keep_recent(self, source: int, answers: Answers) -> None:
        """Keep the answers of the last few files."""
        self._recent[source] = answers
        while len(self._recent) > _IN_MEMORY:
            self._recent.popitem(last=False)

    def save(self, first_row: int, answers: Answers) -> None:
        """Keep the answers to some prompts, all or none.

        Parameters
        ----------
        first_row : int
            Row of the first prompt, for the name of the file.
        answers : Answers

        Raises
        ------
        StorageError
            They cannot be written.
        """
        if self.folder is None or self._journal is None:
            self._remember(answers, answers)
            return
        path = self._free_path(self.folder, first_row)
        with storage_errors(self.folder.path, f"the answers to {self.n_own:,} prompts are kept there"):
            write_answers(path, answers)
        self._journal.clear()
        self._n_single = 0
        self._keep_recent(len(self._sources), answers)
        self._remember(path, answers)

    def save_single(self, answer: Answers) -> None:
        """Keep one answer at once; :meth:`save` takes it over.

        Parameters
        ----------
        answer : Answers
            Of one row.

        Raises
        ------
        StorageError
            It cannot be written.
        """
        if self.folder is not None and self._journal is not None:
            with storage_errors(self.folder.path, "the answers before are kept there"):
                self._journal.append(answer)
            self._n_single += 1

    def close(self) -> None:
        """Close what is open, and wait until single answers are on the disk."""
        if self._journal is not None:
            self._journal.flush()
            self._journal.close()

    def _free_path(self, folder: RunFolder, number: int, kind: str = "") -> Path:
        """Name of a file that takes no answers away: free, or that of a damaged file."""
        taken = {source for source in self._sources if isinstance(source, Path)}
        stem = f"rows-{number:010d}{kind and '-'}{kind}"
        path = folder.path / f"{stem}.parquet"
        attempt = 0
        while path in taken:
            attempt += 1
            path = folder.path / f"{stem}-{attempt}.parquet"
        return path
