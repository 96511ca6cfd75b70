"""Batches side by side: order, one core each, errors, and torch's own settings afterwards."""

import threading

import pytest
import torch

from debias.inference.transformers.passes.thread_pool import map_in_threads


@pytest.fixture(autouse=True)
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_results_come_in_order_though_later_ones_are_done_first():
    first_may_go = threading.Event()

    def work(number):
        if number == 0:
            assert first_may_go.wait(10)
        elif number == 3:
            first_may_go.set()
        return number, threading.get_ident(), torch.get_num_threads(), torch.is_grad_enabled()

    found = list(map_in_threads(work, range(10)))
    assert [number for number, *_ in found] == list(range(10))
    assert {own[1] for own in found} - {threading.get_ident()}
    assert all(own[2:] == (1, False) for own in found)
    assert torch.get_num_threads() == 2
    assert torch.is_grad_enabled()


def test_a_thread_that_is_started_afterwards_has_all_cores():
    list(map_in_threads(abs, range(4)))
    found = []
    thread = threading.Thread(target=lambda: found.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    assert found == [2]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_error_comes_out_and_the_rest_is_left_undone(error):
    begun = []

    def work(number):
        begun.append(number)
        if number == 1:
            raise error("stop")
        return number

    with pytest.raises(error, match="stop"):
        list(map_in_threads(work, range(1000)))
    assert len(begun) < 20
    assert torch.get_num_threads() == 2


def test_few_results_are_kept_waiting():
    asked = []
    results = map_in_threads(asked.append, range(1000))
    next(results)
    assert len(asked) <= 6
    results.close()


def test_one_item_keeps_all_cores():
    assert list(map_in_threads(lambda _: torch.get_num_threads(), [0])) == [2]
    assert list(map_in_threads(abs, [])) == []
