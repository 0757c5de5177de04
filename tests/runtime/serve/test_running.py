"""Requests that are being answered, and may be ended by anybody who knows their number."""

import pytest

from accel.errors import UsageError
from accel.runtime.serve.running import Requests, Running


def test_whoever_knows_its_number_may_end_a_request():
    requests, ended = Requests(), []
    with requests.open(Running("a")) as running, running.ending(lambda: ended.append("a")):
        assert len(requests) == 1 and list(requests) == [running]
        assert requests.cancel("a") and running.cancelled
    assert ended == ["a"] and not requests and not requests.cancel("a")


def test_what_begins_after_the_request_was_ended_is_ended_at_once():
    running, ended = Running("a"), []
    running.cancel()
    with running.ending(lambda: ended.append(1)):
        assert ended == [1]


def test_what_has_ended_is_not_ended_again():
    running, ended = Running("a"), []
    with running.ending(lambda: ended.append(1)):
        pass
    running.cancel()
    assert ended == []


def test_a_number_is_one_requests_as_long_as_that_is_answered():
    requests = Requests()
    with requests.open(Running("a")):
        with pytest.raises(UsageError, match="x-request-id"), requests.open(Running("a")):
            pass
        with requests.open(Running("b")):
            assert len(requests) == 2
    with requests.open(Running("a")):
        pass


def test_a_request_that_fails_is_no_longer_there():
    requests = Requests()
    with pytest.raises(ZeroDivisionError), requests.open(Running("a")):
        raise ZeroDivisionError
    assert not requests
