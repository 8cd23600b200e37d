from __future__ import annotations

import pytest

from hume_runner.services.expression_v1.service import ExpressionV1Service
from tests.services.expression_v1.cases import service


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> ExpressionV1Service:
    return service(tmp_path_factory.mktemp("usual"))
