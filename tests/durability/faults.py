"""What can go wrong with one request, by name: the rows of the fault matrix of every API."""

from __future__ import annotations

from typing import Any

ACTIONS: dict[str, dict[str, Any]] = {
    "400": {"status": 400},
    "401": {"status": 401},
    "402": {"status": 402},
    "403": {"status": 403},
    "404": {"status": 404},
    "408": {"status": 408},
    "413": {"status": 413},
    "429": {"status": 429, "headers": {"Retry-After": "0.05"}},
    "500": {"status": 500},
    "coded 500": {
        "status": 500,
        "body": {"type": "error", "code": "internal_error", "message": "sorry", "request_id": "0" * 32},
    },
    "502": {"status": 502},
    "503": {"status": 503, "headers": {"Retry-After": "0.05"}},
    "504": {"status": 504},
    "drop before": {"drop": "before"},
    "drop after": {"drop": "after"},
    "delay": {"delay": "150ms"},
    "truncate": {"truncate": 0.5},
    "truncate unannounced": {"truncate": 0.5, "chunked": True},
    "slow": {"slow": "20KB/s"},
    "html": {"html": True},
    "redirect": {"redirect": "http://127.0.0.1:9/elsewhere"},
    "corrupt": {"corrupt": True},
}
