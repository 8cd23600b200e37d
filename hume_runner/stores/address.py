"""What `s3://bucket/key` says. Keys are taken as they are written: nothing in them is decoded or normalised."""

from __future__ import annotations

import re

from hume_runner.frozen import frozen

SCHEMES = ("s3", "gs", "az")
_REMOTE = re.compile(rf"({'|'.join(SCHEMES)})://", re.IGNORECASE)
_PARTS = re.compile(rf"({'|'.join(SCHEMES)})://([^/]*)(?:/(.*))?\Z", re.IGNORECASE | re.DOTALL)
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,221}\Z")
# A link that somebody signed carries a secret; so does any member that says what it is.
_SECRET = re.compile(
    r"[?&](x-amz-[a-z-]+|x-goog-[a-z-]+|awsaccesskeyid|googleaccessid|signature|sig|sv|se|"
    r"[a-z0-9_.-]*(?:token|secret|password|credential|access_?key)[a-z0-9_.-]*)=",
    re.IGNORECASE,
)


@frozen
class ObjectUri:
    """One place in a store: `bucket` (az: the container) and `key`, which may be empty or the start of keys."""

    scheme: str
    bucket: str
    key: str

    @classmethod
    def of(cls, uri: str) -> ObjectUri:
        """Raises: ValueError for what is no such URI; `uri_fault` says what is wrong with it."""
        found = _PARTS.match(uri)
        if found is None or uri_fault(uri) is not None:
            raise ValueError("not the URI of a place in an object store")
        return cls(scheme=found[1].lower(), bucket=found[2], key=found[3] or "")

    @property
    def root(self) -> str:
        return f"{self.scheme}://{self.bucket}"

    def __str__(self) -> str:
        return f"{self.root}/{self.key}"


def is_remote(text: str) -> bool:
    """Whether this names a place in an object store, be it well or badly."""
    return _REMOTE.match(text) is not None


def uri_fault(uri: str) -> tuple[str, str] | None:
    """(what is wrong, the next step) of a URI that names a place in a store, or None. Repeats no secret."""
    found = _PARTS.match(uri)
    if found is None:
        return "is not the URI of an object store", "write s3://bucket/key, gs://bucket/key or az://container/key"
    bucket, key = found[2], found[3] or ""
    if "@" in bucket:
        return "has a user or a password in it", "remove it: credentials come from the environment (AWS_*, …)"
    if _SECRET.search("/" + key):
        return "has a signature or a secret in it", "remove it: credentials come from the environment (AWS_*, …)"
    if not _BUCKET.match(bucket):
        what = "container" if found[1].lower() == "az" else "bucket"
        return f"names no {what}", f"write {found[1].lower()}://{what}/key"
    return None


def is_unusable(key: str) -> bool:
    """Whether obstore can ask for no object of this name, as it would be no path on a disk, whatever stores take."""
    parts = key.split("/")
    return "" in parts or "." in parts or ".." in parts or any(letter < " " or letter == "\x7f" for letter in key)
