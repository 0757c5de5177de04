"""A hub that is not there, or is none, is said."""

import pytest

from accel.errors import ModelMissing, NetworkError

from .models import REPO, get


def test_a_repository_that_is_not_there_is_said(hub, library):
    with pytest.raises(ModelMissing, match="check the name"):
        get(library, "hf:nobody/nothing")


@pytest.mark.parametrize(
    "listing",
    [b"", b"<html>", b"[]", b'{"sha": "../..", "siblings": []}', b'{"sha": 1}', b"[" * 100_000, b'{"siblings": 0}'],
)
def test_a_server_that_is_no_hub_is_said(hub, library, listing):
    hub.files[REPO] = {}
    hub.listing = listing
    with pytest.raises(NetworkError, match="HF_ENDPOINT"):
        get(library, "hf:owner/tiny")


def test_without_network_the_error_says_what_to_do(hub, library):
    hub.server.shutdown()
    hub.server.server_close()
    with pytest.raises(NetworkError, match="check the network"):
        get(library, "hf:owner/tiny")
