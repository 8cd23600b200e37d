"""Run by the interpreter of an environment that holds the official package, 0.3 line: URL, KEY, FOLDER."""

import json
import sys
import zipfile
from pathlib import Path

from hume import HumeBatchClient, HumeClientException
from hume.models.config import BurstConfig, FaceConfig, LanguageConfig, ProsodyConfig

url, key, folder = sys.argv[1], sys.argv[2], Path(sys.argv[3])
client = HumeBatchClient(key, _api_http_base_url=url)
stranger = HumeBatchClient("nope", _api_http_base_url=url)

by_url = client.submit_job(
    ["https://example.org/a.mp4", "https://x.invalid/b.mp4"],
    [FaceConfig(identify_faces=True), ProsodyConfig(identify_speakers=True), BurstConfig()],
)
by_file = client.submit_job([], [LanguageConfig(sentiment={})], files=[folder / "a.wav"])
failing = client.submit_job(["https://fail.invalid/a.mp4"], [FaceConfig()])

details = [job.await_complete(timeout=60) for job in (by_url, by_file, failing)]
by_url.download_predictions(folder / "predictions.json")
by_url.download_artifacts(folder / "artifacts.zip")


def message(call):
    try:
        call()
    except HumeClientException as error:
        return str(error)
    return None


print(
    json.dumps(
        {
            "states": [detail.state.status.value for detail in details],
            "rehydrated": client.get_job(by_url.id).get_status().value,
            "sources": len(json.loads((folder / "predictions.json").read_text())),
            "file_models": list(by_file.get_predictions()[0]["results"]["predictions"][0]["models"]),
            "archive": zipfile.ZipFile(folder / "artifacts.zip").namelist(),
            "wrong_key": message(
                lambda: HumeBatchClient("nope", _api_http_base_url=url).submit_job([], [FaceConfig()])
            ),
            "unknown_job": message(lambda: client.get_job_details("11111111-2222-3333-4444-555555555555")),
        }
    )
)
