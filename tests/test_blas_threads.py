"""One BLAS thread while we compute: from any thread, for as long as any fit needs it."""

from concurrent.futures import ThreadPoolExecutor
from threading import Thread

import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from halfsquare.parallel.threads import one_blas_thread


def blas() -> set[int]:
    return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}


@pytest.fixture(autouse=True)
def two_threads():
    with threadpool_limits(2, user_api="blas"):
        yield


def test_one_fit_does_not_lift_the_limit_of_another_beside_it() -> None:
    first, second = one_blas_thread(), one_blas_thread()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert blas() == {1}
    second.__exit__(None, None, None)
    assert blas() == {2}


def test_the_limit_holds_in_whatever_thread_it_is_taken() -> None:
    def within() -> set[int]:
        with one_blas_thread():
            return blas()

    # In the main thread first: a library that lets the first thread alone set limits would pass
    # over the others.
    assert within() == {1}
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(within).result() == {1}
    assert blas() == {2}


def test_the_last_to_leave_lifts_the_limit_though_another_thread_took_it() -> None:
    held = one_blas_thread()
    taking = Thread(target=held.__enter__)
    taking.start()
    taking.join()
    assert blas() == {1}
    held.__exit__(None, None, None)
    assert blas() == {2}
