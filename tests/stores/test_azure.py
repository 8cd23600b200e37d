"""Containers in Azure: what only Azure has. What every store promises is in `test_contract.py`."""

from __future__ import annotations

import pytest

from hume_runner.errors import StoreDenied
from tests.stores.azurite import AzureServer

pytestmark = pytest.mark.sweep


def test_a_key_that_is_somebody_elses_is_denied_and_not_told(
    azure: AzureServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", "c29tZWJvZHkgZWxzZQ==")
    with pytest.raises(StoreDenied) as denied:
        azure.store(azure.container()).read("nothing")
    assert "c29tZWJvZHk" not in str(denied.value)
