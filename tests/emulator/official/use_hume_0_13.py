"""Run by the interpreter of an environment that holds the official package, 0.13 line: URL, KEY, FOLDER."""

import io
import json
import sys
import time
import zipfile
from pathlib import Path

from hume import HumeClient
from hume.expression_measurement.batch.types import Face, InferenceBaseRequest, Language, Models, Prosody

url, key, folder = sys.argv[1], sys.argv[2], Path(sys.argv[3])
batch = HumeClient(api_key=key, base_url=url).expression_measurement.batch


def wait(job_id):
    while (job := batch.get_job_details(id=job_id)).state.status in ("QUEUED", "IN_PROGRESS"):
        time.sleep(0.02)
    return job


by_url = batch.start_inference_job(
    urls=["https://example.org/a.mp4", "https://x.invalid/b.mp4"],
    models=Models(face=Face(identify_faces=True), prosody=Prosody(identify_speakers=True)),
    notify=False,
)
by_text = batch.start_inference_job(text=["I could not be happier.", "Leave me."], models=Models(language=Language()))
by_file = batch.start_inference_job_from_local_file(
    file=[(folder / "a.wav").open("rb"), ("b.txt", b"hello", "text/plain")],
    json=InferenceBaseRequest(models=Models(language=Language(sentiment={})), transcription=None),
)
bare = batch.start_inference_job()

jobs = {name: wait(job_id) for name, job_id in [("url", by_url), ("text", by_text), ("file", by_file), ("bare", bare)]}
listed = batch.list_jobs(
    limit=3, status=["COMPLETED", "FAILED"], when="created_after", timestamp_ms=1, sort_by="created", direction="asc"
)
predictions = {name: batch.get_job_predictions(id=job.job_id) for name, job in jobs.items()}
archive = zipfile.ZipFile(io.BytesIO(b"".join(batch.get_job_artifacts(id=by_url))))
batch.get_and_write_job_artifacts(id=by_text, file_name=str(folder / "artifacts.zip"))

texts = predictions["text"][0].results.predictions
print(
    json.dumps(
        {
            "states": {name: job.state.status for name, job in jobs.items()},
            "listed": [job.job_id for job in listed],
            "submitted": [by_url, by_text, by_file, bare],
            "errors": [entry.error for entry in predictions["url"] if entry.error],
            "text_files": sorted(entry.file for entry in texts),
            "names": len(texts[0].models.language.grouped_predictions[0].predictions[0].emotions),
            "file_names": sorted(file.filename for file in jobs["file"].request.files),
            "archive": archive.namelist(),
            "written": zipfile.is_zipfile(folder / "artifacts.zip"),
        }
    )
)
