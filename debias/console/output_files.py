"""Output files, looked at before any work is done."""

from pathlib import Path

from debias.errors import ParameterError


def check_output(
    path: Path, suffixes: tuple[str, ...], inputs: tuple[Path, ...] = (), option: str = "--out"
) -> None:
    """Refuse an output file that could not be written, before any work is done.

    Parameters
    ----------
    path : Path
        The file.
    suffixes : tuple of str
        What it may end in.
    inputs : tuple of Path
        Files that the command reads, which it must not write over.
    option : str, default="--out"
        That names the file.

    Raises
    ------
    ParameterError
        Another suffix, a folder of that name, no such folder, or an input.

    Examples
    --------
    >>> check_output(Path("report.pdf"), (".html", ".md"))
    Traceback (most recent call last):
        ...
    debias.errors.ParameterError: --out 'report.pdf': the name must end in .html or .md.
    """
    if path.suffix.lower() not in suffixes:
        raise ParameterError(f"{option} {str(path)!r}: the name must end in {' or '.join(suffixes)}.")
    if path.is_dir():
        raise ParameterError(f"{option} {str(path)!r}: this is a folder; give the name of a file.")
    if not path.parent.is_dir():
        raise ParameterError(
            f"{option} {str(path)!r}: the folder {str(path.parent)!r} does not exist; create it first."
        )
    if any(path.resolve() == source.resolve() for source in inputs):
        raise ParameterError(f"{option} {str(path)!r}: this is an input of the command; give another name.")
