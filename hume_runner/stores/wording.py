"""What obstore says, in our words. Its texts hold addresses, headers and whole bodies, so none of them is repeated:
the HTTP status and the store's own error code are picked out, and say enough."""

from __future__ import annotations

import re
from collections.abc import Mapping

from obstore import exceptions as foreign

from hume_runner.errors import (
    AlreadyExists,
    BucketMissing,
    ObjectMissing,
    ObjectPacked,
    PreconditionFailed,
    StoreDenied,
    StoreError,
    StoreMisconfigured,
    StoreUnavailable,
    UnusableName,
)
from hume_runner.stores.surroundings import PREFIX, holding

_STATUS = re.compile(r"status code: (\d{3})")
_CODE = re.compile(r"<Code>(\w{1,60})</Code>|\"(?:reason|code)\": ?\"(\w{1,60})\"")
# What obstore reads in the environment and cannot make sense of: the value is quoted, the variable is not named.
_SETTING = re.compile(
    r"failed to parse \"(.*?)\"|\"(.*?)\" is not a valid|Invalid encryption type: (.*?)\. Valid", re.IGNORECASE
)
_UNREADABLE_KEY = re.compile(r"service account file|Invalid Access Key|InvalidAccessKey")
_CREDENTIALS = re.compile(r"169\.254\.169\.254|169\.254\.170\.2|metadata\.google|computeMetadata|/token\b|TokenRequest")
_INVALID = re.compile(r'[pP]ath "((?:[^"\\]|\\.)*)"', re.DOTALL)

_SIGN_IN = {
    "s3": "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (AWS_SESSION_TOKEN), or run where the machine has a role",
    "gs": "set GOOGLE_SERVICE_ACCOUNT to the path of a key, or sign in with gcloud auth application-default login",
    "az": "set AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY, or what stands for them",
}
_ENDPOINT = {
    "s3": "check the network, AWS_ENDPOINT_URL and AWS_REGION, then run the same command again: it resumes",
    "gs": "check the network, then run the same command again: it resumes",
    "az": "check the network and AZURE_STORAGE_ACCOUNT_NAME, then run the same command again: it resumes",
}
_NO_BUCKET = {"NoSuchBucket", "ContainerNotFound", "InvalidBucketName"}
_OTHER_REGION = {"AuthorizationHeaderMalformed", "PermanentRedirect", "IllegalLocationConstraintException"}
_BAD_KEY = {"InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "AuthenticationFailed"}


def in_our_words(
    error: Exception, root: str, key: str, *, listing: bool = False, environ: Mapping[str, str] | None = None
) -> StoreError:
    """The error of `stores` that this one of obstore's is. `key`: what was asked for, or the folder that was listed."""
    text = str(error)
    status = int(found[1]) if (found := _STATUS.search(text)) else None
    code = next((one for one in found.groups() if one), "") if (found := _CODE.search(text)) else ""
    said = f" ({code or status})" if code or status else ""
    scheme = root.partition(":")[0]
    place = f"{root}/{key}" if key else root
    if isinstance(error, foreign.AlreadyExistsError):
        return AlreadyExists(f"{place} exists already", key=key)
    if isinstance(error, foreign.PreconditionError):
        return PreconditionFailed(f"{place} is not what it was any more", key=key)
    if code in _NO_BUCKET or (listing and status == 404):
        what = "container" if scheme == "az" else "bucket"
        return BucketMissing(f"{root}: there is no such {what}{said}", key=key, hint="check the name, and the region")
    if code in _OTHER_REGION or "redirect without LOCATION" in text:
        return BucketMissing(f"{root} is in another region{said}", key=key, hint="set AWS_REGION to the bucket's own")
    if isinstance(error, FileNotFoundError):
        return ObjectMissing(f"{place} does not exist", key=key, hint="check the name")
    if (found := _SETTING.search(text)) is not None and status is None:
        return _bad_setting(next(one for one in found.groups() if one is not None), root, key, environ or {})
    if _UNREADABLE_KEY.search(text) and status is None:
        return StoreDenied(f"{root}: the credentials for it cannot be read", key=key, hint=_SIGN_IN[scheme])
    if _CREDENTIALS.search(text) or "MissingAccount" in text:
        return StoreDenied(f"{root}: there are no credentials for it", key=key, hint=_SIGN_IN[scheme])
    if status in (401, 403) or isinstance(error, foreign.PermissionDeniedError | foreign.UnauthenticatedError):
        hint = (
            _SIGN_IN[scheme]
            if status == 401 or code in _BAD_KEY
            else "ask for the permission, or use other credentials"
        )
        return StoreDenied(f"{place}: access is denied{said}", key=key, hint=hint)
    if isinstance(error, foreign.InvalidPathError) or "contained empty path segment" in text:
        return _bad_name(text, root, key)
    if "BadScheme" in text or "URL scheme is not allowed" in text:
        hint = "use an https endpoint, or set AWS_ALLOW_HTTP=true for one on this machine"
        return StoreError(f"{root}: the endpoint is not https", key=key, hint=hint)
    if (status is not None and status >= 500) or status in (408, 429) or _unreachable(text):
        return StoreUnavailable(f"{root} is not available{said or _why(text)}", key=key, hint=_ENDPOINT[scheme])
    return StoreError(
        f"{place}: the store refuses{said or ': ' + type(error).__name__}", key=key, hint=_ENDPOINT[scheme]
    )


def _bad_setting(value: str, root: str, key: str, environ: Mapping[str, str]) -> StoreMisconfigured:
    scheme = root.partition(":")[0]
    names = holding(scheme, value, environ) or [f"{PREFIX[scheme]}…"]
    return StoreMisconfigured(
        f"{root}: the environment variable {' or '.join(names)} holds what cannot be", key=key, hint="mend or unset it"
    )


def broken_off(root: str, key: str) -> StoreMisconfigured:
    """Inside obstore something broke off, which it does over surroundings that it does not understand."""
    prefix = PREFIX[root.partition(":")[0]]
    return StoreMisconfigured(
        f"{root}: the library that asks it broke off",
        key=key,
        hint=f"look at the {prefix}… and proxy variables in the environment, and at the key's file; if they are right, "
        "this is a bug: please report it",
    )


def _unreachable(text: str) -> bool:
    return any(
        sign in text for sign in ("HTTP error", "error sending request", "timed out", "TimedOut", "error decoding")
    )


def _why(text: str) -> str:
    return ": it takes too long" if "imed" in text and ("timed out" in text or "TimedOut" in text) else ": no answer"


def _bad_name(text: str, root: str, key: str) -> StoreError:
    found = _INVALID.search(text)
    return unusable(found[1] if found else key, root)


def unusable(key: str, root: str) -> UnusableName:
    """What to say of such a name."""
    shown = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in key)
    return UnusableName(
        f"{root}: the name '{shown}' has an empty part, '.', '..' or a control character, and cannot be asked for",
        key=key,
        hint="rename the object, or name a folder that does not hold it",
    )


def packed(place: str, encoding: str, key: str) -> ObjectPacked:
    """What is stored with a Content-Encoding, which a browser takes off and a service does not."""
    return ObjectPacked(
        f"{place} is stored packed (Content-Encoding: {encoding[:40]})",
        key=key,
        hint="store it unpacked, without that header: what is sent are the bytes as they lie there",
    )
