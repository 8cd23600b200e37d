"""The bill that `plan` shows is an upper bound, and a close one, whatever the media are.

Sets of media are made by ffmpeg with lengths, codecs, containers and rates by chance. What was billed is the emulator's
own measurement of what arrived.
"""

from __future__ import annotations

import functools
import json
import os
import random
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from hume_runner.emulator.server import Emulator
from tests.expression.runs import Folder, measured_runs, metered

Make = Callable[[random.Random, Path], Path]


def ffmpeg(*arguments: str, out: Path | None = None) -> None:
    """`out`: where standard output goes, for writers that cannot seek back."""
    command = ["ffmpeg", "-v", "error", "-y", "-threads", "1", *arguments]
    if out is None:
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
        return
    with out.open("wb") as file:
        subprocess.run([*command, "-"], check=True, stdin=subprocess.DEVNULL, stdout=file)


def seconds(rng: random.Random) -> float:
    return round(rng.choice((rng.uniform(0.3, 3), rng.uniform(3, 20), rng.uniform(20, 35))), 3)


def tone(rng: random.Random, length_s: float | None = None) -> list[str]:
    rate = rng.choice((8000, 16_000, 22_050, 44_100, 48_000))
    return ["-f", "lavfi", "-i", f"sine=f={rng.randint(200, 900)}:d={length_s or seconds(rng)}:r={rate}"]


def moving(rng: random.Random, length_s: float) -> list[str]:
    rate = rng.choice(("5", "10", "12.5", "24000/1001", "25", "30"))
    what = rng.choice(("testsrc", "testsrc2", "smptebars"))
    return ["-f", "lavfi", "-i", f"{what}=s={rng.choice(('96x64', '160x120', '320x180'))}:r={rate}:d={length_s}"]


def sound(ending: str, *options: str) -> Make:
    def make(rng: random.Random, stem: Path) -> Path:
        path = stem.with_suffix(ending)
        ffmpeg(*tone(rng), "-ac", str(rng.choice((1, 2))), *options, str(path))
        return path

    return make


def piped(ending: str, *options: str) -> Make:
    def make(rng: random.Random, stem: Path) -> Path:
        path = stem.with_suffix(ending)
        ffmpeg(*tone(rng), *options, out=path)
        return path

    return make


def joined(ending: str, *options: str) -> Make:
    """Parts one behind the other in one file, as `cat` makes it; each has a rate of its own."""

    def make(rng: random.Random, stem: Path) -> Path:
        path = stem.with_suffix(ending)
        parts = [stem.with_name(f"part-{n}-{path.name}") for n in range(rng.randint(2, 3))]
        for part in parts:
            ffmpeg(*tone(rng, rng.uniform(1, 12)), *options, str(part))
        path.write_bytes(b"".join(part.read_bytes() for part in parts))
        for part in parts:
            part.unlink()
        return path

    return make


def film(ending: str, *options: str, live: bool = False, pipe: Sequence[str] = ()) -> Make:
    """Sound and pictures, each of a length of its own."""

    def make(rng: random.Random, stem: Path) -> Path:
        path = stem.with_suffix(ending)
        inputs = [*moving(rng, seconds(rng)), *tone(rng)]
        if live or pipe:
            ffmpeg(*inputs, *options, *pipe, out=path)
        else:
            ffmpeg(*inputs, *options, str(path))
        return path

    return make


def silent_film(rng: random.Random, stem: Path) -> Path:
    path = stem.with_suffix(".mp4")
    ffmpeg(*moving(rng, seconds(rng)), "-c:v", "libx264", "-preset", "ultrafast", str(path))
    return path


def uneven_film(rng: random.Random, stem: Path) -> Path:
    """Pictures at irregular times."""
    path = stem.with_suffix(".mkv")
    some = f"select='gt(random({rng.randint(0, 99)}),0.6)'"
    ffmpeg(*moving(rng, seconds(rng) + 2), "-vf", some, "-vsync", "vfr", "-c:v", "libx264", str(path))
    return path


def still(ending: str) -> Make:
    def make(rng: random.Random, stem: Path) -> Path:
        path = stem.with_suffix(ending)
        size = rng.choice(("64x64", "320x240", "1280x720"))
        noise = f"noise=alls={rng.choice((0, 20, 100))}:all_seed={rng.randint(0, 9999)}"
        ffmpeg("-f", "lavfi", "-i", f"testsrc=s={size}:d=1:r=1", "-vf", noise, "-frames:v", "1", str(path))
        return path

    return make


X264 = ("-c:v", "libx264", "-preset", "ultrafast")
KINDS: tuple[Make, ...] = (
    sound(".wav"),
    sound(".wav", "-c:a", "pcm_s24le"),
    sound(".wav", "-c:a", "adpcm_ms"),
    sound(".wav", "-c:a", "adpcm_ima_wav"),
    sound(".wav", "-c:a", "libmp3lame"),
    sound(".mp3"),
    sound(".mp3", "-q:a", "7", "-write_xing", "0"),
    sound(".aac"),
    sound(".m4a", "-c:a", "aac"),
    sound(".mka", "-c:a", "aac"),
    sound(".opus", "-c:a", "libopus", "-ar", "48000"),
    sound(".ogg", "-c:a", "libvorbis"),
    sound(".flac"),
    sound(".aiff"),
    sound(".wma", "-c:a", "wmav2", "-ar", "44100"),
    piped(".wav", "-f", "wav"),
    piped(".flac", "-f", "flac"),
    piped(".webm", "-c:a", "libopus", "-ar", "48000", "-f", "webm", "-live", "1"),
    joined(".mp3", "-q:a", "5"),
    joined(".aac", "-f", "adts"),
    joined(".ogg", "-c:a", "libvorbis"),
    joined(".opus", "-c:a", "libopus", "-ar", "48000"),
    film(".mp4", *X264, "-c:a", "aac"),
    film(".mov", *X264, "-c:a", "pcm_s16le"),
    film(".mkv", *X264, "-c:a", "libvorbis"),
    film(".avi", "-c:v", "mpeg4", "-c:a", "libmp3lame", "-ar", "44100"),
    film(".ts", *X264, "-c:a", "aac"),
    film(".mpg", "-r", "25", "-ar", "44100"),
    film(".flv", *X264, "-c:a", "aac", "-ar", "44100"),
    film(".webm", "-c:v", "libvpx", "-deadline", "realtime", "-c:a", "libopus", "-ar", "48000"),
    film(".webm", "-c:v", "libvpx", "-deadline", "realtime", "-ar", "48000", pipe=("-f", "webm", "-live", "1")),
    film(".mp4", *X264, "-c:a", "aac", pipe=("-movflags", "frag_keyframe+empty_moov", "-f", "mp4")),
    silent_film,
    uneven_film,
    still(".jpg"),
    still(".png"),
    still(".bmp"),
)  # fmt: skip


def make_media(rng: random.Random, folder: Path, kinds: Sequence[Make]) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    return [make(rng, folder / f"{number:03d}") for number, make in enumerate(kinds)]


class Pool:
    """One medium of every kind, and some stills more; each is made when it is first asked for."""

    def __init__(self, folder: Path) -> None:
        self._make = functools.cache(lambda number: POOL[number](random.Random(number), folder / f"{number:03d}"))

    def sample(self, rng: random.Random, count: int) -> list[Path]:
        return [self._make(number) for number in rng.sample(range(len(POOL)), count)]


POOL = (*KINDS, *[still(".png")] * 6, *[still(".jpg")] * 6)


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Pool:
    return Pool(tmp_path_factory.mktemp("pool"))


def run_and_compare(folder: Folder, emulator: Emulator, rng: random.Random, media: Sequence[Path]) -> None:
    folder.path.mkdir(parents=True, exist_ok=True)
    for path in media:
        os.link(path, folder.path / path.name)
    batching = {"pack_short_audio": rng.random() < 0.5}
    if rng.random() < 0.4:
        batching["max_sources"] = rng.choice((3, 20, 45, 100, 250))  # type: ignore[assignment]
    fps = rng.choice((1, 3, 3, 2.5, 5))
    models = {"audio": {}, "video": {"fps": fps}}
    if rng.random() < 0.2:
        del models[rng.choice(("audio", "video"))]
    folder.write({"files": [path.name for path in media]}, batching=batching, models=models)
    plan = json.loads(folder.command("plan", "--format", "json").out)["summary"]
    planned = plan["billable_seconds"] or 0
    ran = folder.run("--max-billable-seconds", str(max(planned, 0.001)))
    billed = metered(measured_runs(emulator.url))
    what = (batching, models, [path.name for path in media], ran.err)
    failed = [line for line in folder.results().values() if line["status"] != "done"]
    assert ran.code == (3 if failed else 0), what
    assert planned >= round(billed, 3), what
    # A medium that breaks off is planned whole and costs nothing; one that no model measures is not planned.
    assert billed >= planned / 1.05 - 10 or any("asks for no" not in line["error"] for line in failed), what
    assert (folder.summary()["bill"]["billable_seconds"] or 0) <= planned, what


@pytest.mark.sweep
@pytest.mark.parametrize("seed", range(25))
def test_the_bill_of_any_set_of_media_is_within_the_plan(
    folder: Folder, emulator: Emulator, pool: Pool, seed: int
) -> None:
    rng = random.Random(seed)
    run_and_compare(folder, emulator, rng, pool.sample(rng, rng.randint(1, 7)))


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(1000, 1300))
def test_the_bill_of_three_hundred_new_sets_of_media_is_within_the_plan(
    folder: Folder, emulator: Emulator, tmp_path: Path, seed: int
) -> None:
    rng = random.Random(seed)
    media = make_media(rng, tmp_path / "made", rng.choices(KINDS, k=rng.randint(1, 8)))
    run_and_compare(folder, emulator, rng, media)
    shutil.rmtree(tmp_path / "made")
