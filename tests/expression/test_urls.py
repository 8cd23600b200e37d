"""Media at URLs: fetched by the runner, since this API takes none, and only from where they may come."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from hume_runner.emulator.server import Emulator
from tests.expression.runs import Folder, measured_runs
from tests.media_files import picture, picture_bytes, speech, write_wav
from tests.servers import Quiet, Server

PAGE = b"<!doctype html><html><body>Please log in</body></html>"


class Host(Server):
    """A web server with a few files; `asked` are the paths that were requested."""

    def __init__(self, files: dict[str, tuple[str, bytes]]) -> None:
        super().__init__(_Handler)
        self.files = files
        self.asked: list[str] = []
        self.busy: set[str] = set()


class _Handler(Quiet):
    server: Host

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        self.server.asked.append(path)
        kind, content = self.server.files.get(path, ("text/html", PAGE))
        self.send_response(503 if path in self.server.busy else 200 if path in self.server.files else 404)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


@pytest.fixture
def host(folder: Folder) -> Iterator[Host]:
    folder.path.mkdir(parents=True)
    wav = write_wav(folder.path / "talk.wav", speech([("speech", 2), ("pause", 1), ("speech", 2)]))
    files = {
        "/talk.wav": ("audio/wav", wav.read_bytes()),
        "/face.jpg": ("image/jpeg", picture_bytes(picture(seed=3))),
        "/face.png": ("application/octet-stream", picture_bytes(picture(seed=4), "PNG")),
        "/login.mp4": ("video/mp4", PAGE),
    }
    with Host(files) as host:
        yield host


ALLOWED = {"allow_hosts": ["127.0.0.1"]}


@pytest.mark.sweep
def test_media_are_downloaded_once_and_measured(folder: Folder, emulator: Emulator, host: Host) -> None:
    names = ["talk.wav", "face.jpg", "face.png"]
    folder.write({"urls": [f"{host.url}/{name}?signature=s3cret" for name in names]}, service=ALLOWED)
    assert folder.run().code == 0
    assert [line["status"] for line in folder.results().values()] == ["done"] * 3
    assert sorted(host.asked) == ["/face.jpg", "/face.png", "/talk.wav"]
    # The recording in one request, both pictures in another.
    assert sorted(len(run["files"]) for run in measured_runs(emulator.url)) == [1, 2]
    assert not (folder.outputs / "prepared").exists()
    for path in folder.outputs.rglob("*.json*"):
        assert "s3cret" not in path.read_text(), path


def test_a_private_address_is_refused_unless_the_manifest_allows_it(
    folder: Folder, emulator: Emulator, host: Host
) -> None:
    folder.write({"urls": [f"{host.url}/talk.wav"]})
    assert folder.run().code == 3
    [line] = folder.results().values()
    assert line["status"] == "failed"
    assert "not a public address" in line["error"]
    assert host.asked == []
    assert measured_runs(emulator.url) == []
    assert folder.summary()["failures"] == {"address_refused": 1}


def test_what_is_no_medium_fails_alone_with_the_reason(folder: Folder, emulator: Emulator, host: Host) -> None:
    names = ["login.mp4", "gone.wav", "face.jpg"]
    folder.write({"urls": [{"url": f"{host.url}/{name}", "id": name} for name in names]}, service=ALLOWED)
    assert folder.run().code == 3
    results = folder.results()
    assert {name: line["status"] for name, line in results.items()} == {
        "login.mp4": "failed",
        "gone.wav": "failed",
        "face.jpg": "done",
    }
    assert "web page" in results["login.mp4"]["error"] or "HTML" in results["login.mp4"]["error"]
    assert "404" in results["gone.wav"]["error"]
    assert folder.summary()["failures"] == {"not_found": 1, "wrong_type": 1}
    assert len(measured_runs(emulator.url)) == 1


@pytest.mark.sweep
def test_a_url_that_failed_is_fetched_again_on_request_only(folder: Folder, emulator: Emulator, host: Host) -> None:
    folder.write({"urls": [f"{host.url}/later.jpg"]}, service=ALLOWED)
    assert folder.run().code == 3
    host.files["/later.jpg"] = host.files["/face.jpg"]
    before = len(host.asked)
    assert folder.run().code == 3
    assert len(host.asked) == before
    assert folder.run("--retry-failed").code == 0
    assert len(measured_runs(emulator.url)) == 1


@pytest.mark.parametrize("attempts", [1, 4])
def test_downloads_are_tried_as_often_as_the_manifest_says(attempts: int, folder: Folder, host: Host) -> None:
    host.busy = {"/face.jpg"}
    execution = {"retry": {"attempts": attempts, "max_wait": "1ms"}}
    folder.write({"urls": [f"{host.url}/face.jpg"]}, service=ALLOWED, execution=execution)
    assert folder.run().code == 3
    assert host.asked == ["/face.jpg"] * attempts
    (line,) = folder.results().values()
    assert "503" in str(line["error"])


def test_a_link_to_an_archive_says_where_archives_are_opened(folder: Folder, host: Host) -> None:
    host.files["/all.zip"] = ("application/zip", b"PK\x03\x04" + bytes(60))
    ran = folder.write({"urls": [f"{host.url}/all.zip"]}, service=ALLOWED).run()
    assert ran.code == 3
    [line] = folder.results().values()
    assert "a ZIP archive: download it and list it under `files`" in line["error"]
