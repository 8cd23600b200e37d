from __future__ import annotations

import copy
import inspect
import json
import pickle
import uuid
import warnings
import wave
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from hume_runner import (
    ApiType,
    BatchJob,
    BatchJobStatus,
    BurstConfig,
    FaceConfig,
    HumeBatchClient,
    HumeClientException,
    LanguageConfig,
    ModelType,
    NerConfig,
    ProsodyConfig,
    TranscriptionConfig,
)
from hume_runner.emulator.server import Emulator
from hume_runner.hume.exceptions import (
    ApiDiscontinuedException,
    InvalidApiKeyException,
    JobFailedException,
    JobNotFoundException,
    JobTimeoutException,
    NetworkException,
    RateLimitedException,
    RequestRefusedException,
    ServiceFailedException,
    UnexpectedAnswerException,
)

SUBMIT = "POST /v0/batch/jobs"
PREDICTIONS = "GET /v0/batch/jobs/{id}/predictions"
ARTIFACTS = "GET /v0/batch/jobs/{id}/artifacts"


@pytest.fixture
def client(shared_emulator: Emulator) -> Iterator[HumeBatchClient]:
    with HumeBatchClient("key-one", base_url=shared_emulator.url) as made:
        yield made


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / "interview.wav"
    with wave.open(str(path), "wb") as sound:
        sound.setparams((1, 2, 16000, 0, "NONE", ""))
        sound.writeframes(bytes(32000))
    return path


def _configs() -> list[Any]:
    return [LanguageConfig(granularity="word"), LanguageConfig(granularity="sentence", sentiment={}), NerConfig()]


def test_the_signatures_are_the_documented_ones() -> None:
    parameters = inspect.signature(HumeBatchClient).parameters
    taken = ["api_key", "old", "timeout", "base_url", "_api_http_base_url", "_api_version", "_api_ws_base_uri"]
    assert list(parameters) == taken
    assert parameters["timeout"].default == 10
    assert parameters["timeout"].kind is inspect.Parameter.KEYWORD_ONLY
    assert parameters["base_url"].default == "https://api.hume.ai"
    names = [name for name in inspect.signature(HumeBatchClient.submit_job).parameters if name != "self"]
    assert names == ["urls", "configs", "transcription_config", "callback_url", "notify", "files", "text"]
    assert HumeBatchClient.get_api_type() is ApiType.BATCH


def test_the_old_name_of_the_host_is_taken_with_a_hint(shared_emulator: Emulator) -> None:
    with pytest.warns(FutureWarning, match="_api_http_base_url is called base_url here") as told:
        client = HumeBatchClient("key-one", timeout=5, _api_http_base_url=shared_emulator.url)
    assert [Path(one.filename) for one in told] == [Path(__file__)]  # it points at the script's own line
    with client:
        assert client.list_jobs() == []
    assert repr(client) == f"HumeBatchClient(base_url='{shared_emulator.url}')"


def test_two_hosts_are_one_too_many() -> None:
    with pytest.raises(TypeError, match="two hosts"):
        HumeBatchClient("key-one", base_url="http://127.0.0.1:1", _api_http_base_url="http://127.0.0.1:2")


def test_a_job_is_submitted_awaited_and_read(client: HumeBatchClient, recording: Path, tmp_path: Path) -> None:
    job = client.submit_job(
        [],
        _configs(),
        TranscriptionConfig(language="en"),
        "https://example.org/hook",
        True,
        files=[recording, str(recording)],
        text=["Come in."],
    )
    details = job.await_complete(timeout=60)
    assert details.get_status() is job.get_status() is BatchJobStatus.COMPLETED
    assert details.job_id == job.id
    assert details.callback_url == "https://example.org/hook"
    assert details.notify
    assert details.text == ["Come in."]
    assert [file["filename"] for file in details.files] == ["interview.wav", "interview.wav"]
    assert set(details.configs) == {ModelType.LANGUAGE, ModelType.NER}
    language = details.configs[ModelType.LANGUAGE]
    assert isinstance(language, LanguageConfig)
    assert (language.granularity, language.sentiment) == ("sentence", {})  # the last one wins
    assert details.get_run_time_ms() is not None
    assert details.get_created_time() <= details.get_started_time() <= details.get_ended_time()  # type: ignore[operator]

    predictions = job.get_predictions()
    assert len(predictions) == 3
    job.download_predictions(tmp_path / "predictions.json")
    assert json.loads((tmp_path / "predictions.json").read_text()) == predictions
    job.download_artifacts(str(tmp_path / "artifacts.zip"))
    with zipfile.ZipFile(tmp_path / "artifacts.zip") as archive:
        assert archive.testzip() is None
    assert sorted(path.name for path in tmp_path.iterdir()) == ["artifacts.zip", "interview.wav", "predictions.json"]


def test_a_job_is_found_again_by_its_id(client: HumeBatchClient) -> None:
    job = client.submit_job(None, [LanguageConfig()], text=["Hello."])
    again = client.get_job(job.id)
    assert repr(again) == f"BatchJob(id={job.id!r})"
    assert again.await_complete(timeout=60).job_id == job.id


def test_jobs_are_listed_with_the_filters_that_the_api_has(client: HumeBatchClient) -> None:
    ids = [client.submit_job([], [LanguageConfig()], text=[f"Number {number}."]).id for number in range(2)]
    for job_id in ids:
        client.get_job(job_id).await_complete(timeout=60)
    newest = client.list_jobs(limit=2, status=BatchJobStatus.COMPLETED, sort_by="created", direction="desc")
    assert [details.job_id for details in newest] == ids[::-1]
    assert client.list_jobs(status=["QUEUED", BatchJobStatus.FAILED], when="created_before", timestamp_ms=1) == []
    assert client.list_jobs(limit=1, type="INFERENCE")[0].job_id == ids[1]


@pytest.mark.sweep
def test_a_job_that_takes_longer_than_the_timeout_goes_on(recording: Path) -> None:
    with (
        Emulator(processing_time_s=60, api_keys=("k",)) as slow,
        HumeBatchClient("k", base_url=slow.url) as client,
    ):
        job = client.submit_job([], [LanguageConfig()], text=["Wait."])
        with pytest.raises(JobTimeoutException, match="goes on at the service") as caught:
            job.await_complete(timeout=1)
        assert job.id in str(caught.value)
        assert not BatchJobStatus.is_terminal(job.get_status())


def test_a_timeout_below_a_second_is_a_value_error(client: HumeBatchClient) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        client.get_job("x").await_complete(timeout=0)


def _details(status: str, **state: Any) -> bytes:
    return json.dumps(
        {
            "job_id": "j",
            "request": {"urls": [], "files": [], "models": {}},
            "state": {"status": status, **state},
        }
    ).encode()


def test_a_failed_job_raises_only_where_asked(serve) -> None:
    def script(talk) -> None:
        while talk.read_request():
            talk.answer(_details("FAILED", message="usage limit exceeded"))

    with HumeBatchClient("k", base_url=serve(script).url) as client:
        job = client.get_job("j")
        assert job.await_complete().state.message == "usage limit exceeded"
        with pytest.raises(JobFailedException, match="job j failed: usage limit exceeded"):
            job.await_complete(raise_on_failed=True)


# -- errors ------------------------------------------------------------------------------------------------------------

GATEWAY = {"fault": {"faultstring": "Invalid ApiKey", "detail": {"errorcode": "oauth.v2.InvalidApiKey"}}}
FAULTS: list[tuple[dict[str, Any], type[HumeClientException], str | None]] = [
    ({"status": 401, "body": GATEWAY}, InvalidApiKeyException, "oauth.v2.InvalidApiKey"),
    ({"status": 401, "body": {"fault": {"faultstring": "Invalid ApiKey"}}}, InvalidApiKeyException, None),
    ({"status": 200, "body": GATEWAY}, InvalidApiKeyException, "oauth.v2.InvalidApiKey"),
    ({"status": 404, "body": {"message": "job not found"}}, JobNotFoundException, None),
    (
        {"status": 400, "body": {"fault": {"faultstring": "no", "detail": {"errorcode": "E1"}}}},
        RequestRefusedException,
        "E1",
    ),
    ({"status": 400, "body": {"fault": {"faultstring": "no"}}}, RequestRefusedException, None),
    ({"html": True}, UnexpectedAnswerException, None),
    (
        {"status": 403, "body": {"code": 403, "message": "The Expression Measurement API has been discontinued."}},
        ApiDiscontinuedException,
        "403",
    ),
    ({"status": 429, "body": {"message": "slow"}}, RateLimitedException, None),
    ({"status": 500, "body": {"message": "oops"}}, ServiceFailedException, None),
]


@pytest.mark.parametrize(("action", "kind", "code"), FAULTS, ids=[f"{f[1].__name__}-{f[2]}" for f in FAULTS])
def test_errors_are_told_apart(
    client: HumeBatchClient,
    shared_emulator: Emulator,
    action: dict[str, Any],
    kind: type[HumeClientException],
    code: str | None,
) -> None:
    shared_emulator.inject([{"route": SUBMIT, "action": action}])
    with pytest.raises(kind) as caught:
        client.submit_job([], [LanguageConfig()], text=["x"])
    assert isinstance(caught.value, HumeClientException)
    assert getattr(caught.value, "code", None) == code


def test_a_network_failure_says_whether_the_server_was_reached(
    client: HumeBatchClient, shared_emulator: Emulator, unused_port: int
) -> None:
    shared_emulator.inject([{"route": SUBMIT, "action": {"drop": "after"}}])
    with pytest.raises(NetworkException) as reached:
        client.submit_job([], [LanguageConfig()], text=["x"])
    assert reached.value.sent
    with (
        HumeBatchClient("k", base_url=f"http://127.0.0.1:{unused_port}") as nowhere,
        pytest.raises(NetworkException) as unreached,
    ):
        nowhere.submit_job([], [LanguageConfig()], text=["x"])
    assert not unreached.value.sent


def test_an_unknown_job_is_named(client: HumeBatchClient, tmp_path: Path) -> None:
    job = client.get_job("00000000-0000-4000-8000-000000000000")
    asks: list[Callable[[], object]] = [
        job.get_details,
        job.get_predictions,
        lambda: job.download_predictions(tmp_path / "p.json"),
        lambda: job.download_artifacts(tmp_path / "a.zip"),
    ]
    for ask in asks:
        with pytest.raises(JobNotFoundException, match=job.id):
            ask()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.sweep
@pytest.mark.parametrize("action", [{"truncate": 0.5}, {"html": True}, {"drop": "before"}], ids=["cut", "page", "drop"])
def test_a_download_that_breaks_once_is_whole_in_the_end(
    client: HumeBatchClient, shared_emulator: Emulator, tmp_path: Path, action: dict[str, Any]
) -> None:
    job = client.submit_job([], [LanguageConfig()], text=["Hello there."])
    job.await_complete(timeout=60)
    shared_emulator.inject([{"route": route, "times": 1, "action": action} for route in (PREDICTIONS, ARTIFACTS)])
    job.download_predictions(tmp_path / "p.json")
    job.download_artifacts(tmp_path / "a.zip")
    shared_emulator.inject([])
    assert json.loads((tmp_path / "p.json").read_text()) == job.get_predictions()
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert archive.testzip() is None
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.zip", "p.json"]


@pytest.mark.sweep
def test_a_download_that_is_not_whole_leaves_the_old_file_alone(serve, tmp_path: Path) -> None:
    """Each damaged body is served once; the next try is told that there is no such job, which ends the download."""
    damaged = [b"", b"{}", b"[1", b"PK\x03\x04 not really", b"[NaN]"]
    served: list[str] = []

    def script(talk) -> None:
        while request := talk.read_request():
            path = request.split(b" ")[1].decode()
            if path in served:
                talk.answer(b'{"message": "job not found"}', status="404 Not Found")
            else:
                served.append(path)
                talk.answer(damaged[int(path.split("/")[4])], "Content-Type: application/octet-stream")

    def attempt(number: int, artifacts: bool) -> Path:
        path = tmp_path / f"{number}-{artifacts}"
        path.write_text("precious")
        job = client.get_job(str(number))
        with pytest.raises(JobNotFoundException):
            (job.download_artifacts if artifacts else job.download_predictions)(path)
        return path

    with HumeBatchClient("k", base_url=serve(script).url) as client, ThreadPoolExecutor(10) as pool:
        tries = [pool.submit(attempt, number, artifacts) for number in range(5) for artifacts in (False, True)]
        paths = {one.result() for one in tries}
    assert len(served) == 10
    assert set(tmp_path.iterdir()) == paths
    assert {path.read_text() for path in paths} == {"precious"}


def test_a_file_that_cannot_be_read_is_an_os_error_and_nothing_is_sent(
    client: HumeBatchClient, shared_emulator: Emulator, tmp_path: Path
) -> None:
    before = shared_emulator.requests()["by_route"].get(SUBMIT, 0)
    for path in (tmp_path / "missing.wav", tmp_path):
        with pytest.raises(OSError, match=r"missing|regular"):
            client.submit_job([], [BurstConfig()], files=[path])
    assert shared_emulator.requests()["by_route"].get(SUBMIT, 0) == before


@pytest.mark.parametrize("name", ["urls", "files", "text"])
def test_one_string_where_a_list_is_due_is_a_type_error(client: HumeBatchClient, name: str) -> None:
    arguments: dict[str, Any] = {"urls": [], "configs": [ProsodyConfig()], name: "https://example.org/a.mp4"}
    with pytest.raises(TypeError, match=f"{name} is a list"):
        client.submit_job(**arguments)


@pytest.mark.parametrize("key", ["", "two\nlines"])
def test_a_key_that_cannot_be_one_is_refused_at_once(key: str) -> None:
    with pytest.raises(HumeClientException, match="API key") as caught:
        HumeBatchClient(key)
    assert not key or key not in str(caught.value)


def test_the_key_is_not_in_the_repr() -> None:
    with HumeBatchClient("secret-key", base_url="https://api.example.org") as client:
        assert "secret-key" not in repr(client) + repr(vars(client))


def test_what_is_not_set_is_not_sent(serve) -> None:
    seen: list[bytes] = []

    def script(talk) -> None:
        seen.append(talk.read_request())
        talk.answer(b'{"job_id": "j"}')

    with HumeBatchClient("k", base_url=serve(script).url) as client:
        client.submit_job(["https://example.org/a.mp4"], [FaceConfig(fps_pred=1)])
    assert json.loads(seen[0].partition(b"\r\n\r\n")[2]) == {
        "urls": ["https://example.org/a.mp4"],
        "models": {"face": {"fps_pred": 1}},
    }


def test_from_error_names_the_code() -> None:
    assert str(HumeClientException.from_error("E1", "no")) == "hume(E1): no"
    assert str(HumeClientException()) == ""


# -- what scripts for the old package do -------------------------------------------------------------------------------


def test_the_closed_host_is_told_when_the_client_is_made() -> None:
    with pytest.warns(FutureWarning, match=r"closed its batch API on 14 June 2026.*hume-runner emulate") as told:
        HumeBatchClient("key-one").close()
    assert [Path(one.filename) for one in told] == [Path(__file__)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        HumeBatchClient("key-one", base_url="https://api.example.org").close()


@pytest.mark.parametrize("key", [None, 5, b"key-one"])
def test_a_key_that_is_no_text_is_caught_like_any_other_failure(key: Any) -> None:
    with pytest.raises(HumeClientException, match=r"API key is .*\nnext: check where it comes from"):
        HumeBatchClient(key, base_url="https://api.example.org")


def test_an_id_that_is_none_is_a_job_that_is_not_there(client: HumeBatchClient, tmp_path: Path) -> None:
    for job in (client.get_job(None), client.get_job(5), client.get_job(uuid.uuid4())):  # type: ignore[arg-type]
        for ask in (job.get_details, job.get_predictions, lambda job=job: job.download_artifacts(tmp_path / "a")):  # type: ignore[misc]
            with pytest.raises(JobNotFoundException):
                ask()
    assert list(tmp_path.iterdir()) == []


def test_an_id_may_be_a_uuid(client: HumeBatchClient) -> None:
    job = client.submit_job(None, [LanguageConfig()], text=["Hello."])
    assert client.get_job(uuid.UUID(job.id)).get_details().job_id == job.id  # type: ignore[arg-type]


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
def test_a_job_goes_to_another_process_and_is_copied(client: HumeBatchClient, copied: Callable[[Any], Any]) -> None:
    job = client.submit_job(None, [LanguageConfig()], text=["Hello."])
    again = copied(job)
    assert again.await_complete(timeout=60).job_id == job.id
    other = copied(client)
    with other:
        assert other.get_job(job.id).get_details().get_status() is BatchJobStatus.COMPLETED
    assert client.get_job(job.id).get_details().job_id == job.id  # closing a copy closes nothing here


def test_a_failure_in_another_process_comes_back_as_it_was(client: HumeBatchClient, shared_emulator: Emulator) -> None:
    shared_emulator.inject([{"route": SUBMIT, "action": {"drop": "after"}}])
    with pytest.raises(NetworkException) as caught:
        client.submit_job([], [LanguageConfig()], text=["x"])
    again = pickle.loads(pickle.dumps(caught.value))
    assert (type(again), str(again), again.sent) == (NetworkException, str(caught.value), True)


def test_what_old_clients_took_by_another_name_or_by_position_is_taken(shared_emulator: Emulator) -> None:
    def made(*args: Any, **more: Any) -> HumeBatchClient:
        with pytest.warns(FutureWarning, match="_api_http_base_url is called base_url here"):
            return HumeBatchClient("key-one", *args, **more)

    for client in (
        made("v0", shared_emulator.url),
        made("v0", shared_emulator.url, "wss://api.hume.ai"),
        made(_api_version="v0", _api_http_base_url=shared_emulator.url, _api_ws_base_uri="wss://api.hume.ai"),
        made("v0", _api_http_base_url=shared_emulator.url),
    ):
        with client:
            assert repr(client) == f"HumeBatchClient(base_url='{shared_emulator.url}')"


@pytest.mark.parametrize(
    ("args", "named", "kind", "words"),
    [
        ((30,), {}, TypeError, r"HumeBatchClient\(key, timeout=30"),
        (("v0", "https://a.example", "wss://b", "c"), {}, TypeError, "arguments have names"),
        (("v0",), {"_api_version": "v0"}, TypeError, "by position and by name"),
        ((), {"_api_version": "v1"}, ValueError, "speaks v0"),
        (("v1",), {}, ValueError, "speaks v0"),
        ((), {"timeout": 0}, ValueError, "more than 0"),
        ((), {"timeout": -1}, ValueError, "more than 0"),
        ((), {"timeout": float("nan")}, ValueError, "more than 0"),
        ((), {"timeout": (3, 0)}, ValueError, "more than 0"),
        ((), {"timeout": "10"}, TypeError, "not str"),
        ((), {"timeout": True}, TypeError, "not bool"),
        ((), {"timeout": (1, 2, 3)}, TypeError, "not tuple"),
    ],
)
def test_arguments_that_cannot_be_are_caught_by_the_old_clause_too(
    args: tuple[Any, ...], named: dict[str, Any], kind: type[Exception], words: str
) -> None:
    with pytest.raises(HumeClientException, match=words) as caught:
        HumeBatchClient("key-one", *args, **({"base_url": "https://api.example.org"} | named))
    assert isinstance(caught.value, kind)


@pytest.mark.parametrize(
    ("arguments", "kind"),
    [
        ({"configs": None}, TypeError),
        ({"configs": FaceConfig()}, TypeError),
        ({"configs": [{"face": {}}]}, TypeError),
        ({"configs": [FaceConfig(facs=set())]}, TypeError),  # type: ignore[arg-type]
        ({"configs": [FaceConfig(fps_pred=float("nan"))]}, ValueError),
        ({"urls": [b"https://example.org/a.mp4"]}, TypeError),
        ({"transcription_config": {"language": "en"}}, TypeError),
    ],
)
def test_requests_that_cannot_be_are_caught_by_it_too_and_nothing_is_sent(
    client: HumeBatchClient, shared_emulator: Emulator, arguments: dict[str, Any], kind: type[Exception]
) -> None:
    before = shared_emulator.requests()["by_route"].get(SUBMIT, 0)
    with pytest.raises(HumeClientException) as caught:
        client.submit_job(**({"urls": ["https://example.org/a.mp4"], "configs": [FaceConfig()]} | arguments))
    assert isinstance(caught.value, kind)
    assert shared_emulator.requests()["by_route"].get(SUBMIT, 0) == before


def test_an_address_that_is_no_text_is_caught_by_it_too() -> None:
    for wrong in (None, 5):
        with pytest.raises(HumeClientException):
            HumeBatchClient("key-one", base_url=wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("timeout", [None, 5, 0.5, (3.05, 27), (None, 5)])
def test_timeouts_are_what_the_old_client_took(shared_emulator: Emulator, timeout: Any) -> None:
    with HumeBatchClient("key-one", base_url=shared_emulator.url, timeout=timeout) as client:
        assert isinstance(client.list_jobs(limit=1), list)


def test_waiting_may_have_no_end(client: HumeBatchClient) -> None:
    job = client.submit_job(None, [LanguageConfig()], text=["Hello."])
    assert job.await_complete(timeout=None).get_status() is BatchJobStatus.COMPLETED
    for wrong in ("60", True):
        with pytest.raises(HumeClientException, match="number of seconds"):
            job.await_complete(timeout=wrong)  # type: ignore[arg-type]


def test_the_words_of_a_timeout_are_still_an_attribute_of_the_job() -> None:
    told = BatchJob.TIMEOUT_MESSAGE.format(300, "abc")
    assert "300s" in told
    assert "get_job('abc')" in told


def test_what_may_be_lost_says_that_it_may_run_and_where_to_look(
    client: HumeBatchClient, shared_emulator: Emulator
) -> None:
    actions: list[dict[str, Any]] = [{"drop": "after"}, {"status": 502, "body": {}}, {"html": True}, {"truncate": 0.5}]
    for action in actions:
        shared_emulator.inject([{"route": SUBMIT, "times": 1, "action": action}])
        with pytest.raises(HumeClientException, match=r"may run, and be billed.*list_jobs"):
            client.submit_job([], [LanguageConfig()], text=["x"])
    shared_emulator.inject([{"route": SUBMIT, "times": 1, "action": {"status": 400, "body": {"message": "no"}}}])
    with pytest.raises(RequestRefusedException) as refused:
        client.submit_job([], [LanguageConfig()], text=["x"])
    assert "billed" not in str(refused.value)


def test_a_host_with_the_apis_path_is_told_with_the_path_that_was_asked_for(shared_emulator: Emulator) -> None:
    with (
        HumeBatchClient("key-one", base_url=f"{shared_emulator.url}/v0") as client,
        pytest.raises(JobNotFoundException, match="POST /v0/v0/batch/jobs at") as caught,
    ):
        client.submit_job([], [LanguageConfig()], text=["x"])
    assert "check base_url" in str(caught.value)
    assert "key that made them" not in str(caught.value)


def test_the_closed_api_is_told_in_a_scripts_words(client: HumeBatchClient, shared_emulator: Emulator) -> None:
    said = {"code": 403, "message": "The Expression Measurement API has been discontinued."}
    shared_emulator.inject([{"route": SUBMIT, "action": {"status": 403, "body": said}}])
    with pytest.raises(ApiDiscontinuedException) as caught:
        client.submit_job([], [LanguageConfig()], text=["x"])
    assert "next: base_url names a host" in str(caught.value)
    assert "service." not in str(caught.value)


def test_a_folder_that_is_missing_is_told_by_the_name_that_was_given(client: HumeBatchClient, tmp_path: Path) -> None:
    job = client.submit_job(None, [LanguageConfig()], text=["Hello."])
    job.await_complete(timeout=60)
    path = tmp_path / "none" / "predictions.json"
    with pytest.raises(FileNotFoundError) as caught:
        job.download_predictions(path)
    assert caught.value.filename == str(path)
