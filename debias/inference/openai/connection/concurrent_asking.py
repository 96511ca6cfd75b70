"""Asks a server about many things in a few threads, and hands out each answer as it comes."""

import threading
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import TypeVar

from debias.inference.openai.connection.server_connection import ServerConnection, StoppedError

Thing = TypeVar("Thing")
Answer = TypeVar("Answer")


def ask_all(
    connection: ServerConnection,
    things: Sequence[Thing],
    ask: Callable[[int, Thing], Answer],
    on_answer: Callable[[int, Answer], object],
) -> None:
    """Ask about many things, as many at once as the settings of the connection allow.

    When one fails for good, or Ctrl-C is pressed, no further request is sent.

    Parameters
    ----------
    connection : ServerConnection
    things : sequence
    ask : callable
        From a position and a thing to an answer; called in several threads.
    on_answer : callable
        Called in this thread with a position and its answer, in the order in which answers come.

    Raises
    ------
    DebiasError
        The first failure, after what was under way has ended and was handed out.
    KeyboardInterrupt
        After the answers that had come were handed out; what is under way is not waited for.
    """
    rows = iter(enumerate(things))
    lock = threading.Lock()
    arrived: SimpleQueue[tuple[int, Answer] | BaseException | None] = SimpleQueue()

    def work() -> None:
        try:
            while not connection.stopping.is_set():
                with lock:
                    row = next(rows, None)
                if row is None:
                    break
                arrived.put((row[0], ask(*row)))
        except StoppedError:
            pass
        except BaseException as error:
            connection.stopping.set()
            arrived.put(error)
        arrived.put(None)

    # Daemons: a program that ends does not wait for a server that does not answer.
    n_working = min(connection.settings.concurrency, len(things))
    connection.threads = [threading.Thread(target=work, daemon=True) for _ in range(n_working)]
    for thread in connection.threads:
        thread.start()
    failure: BaseException | None = None
    while n_working:
        try:
            found = arrived.get(block=not isinstance(failure, KeyboardInterrupt))
        except Empty:
            break
        except KeyboardInterrupt as error:
            connection.stopping.set()
            failure = error
            continue
        if isinstance(found, tuple):
            on_answer(*found)
        elif found is None:
            n_working -= 1
        else:
            failure = failure or found
    if failure is not None:
        raise failure
