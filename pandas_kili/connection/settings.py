"""What a client is told by its arguments, the environment and the official SDK's configuration file."""

from __future__ import annotations

import ipaddress
import json
import os
import re
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pandas_kili.errors import KiliAuthenticationError, KiliConnectionError, KiliValidationError

__all__ = [
    "Secret",
    "Settings",
    "checked_count",
    "checked_timeout",
    "environment",
    "origin",
    "progress_disabled",
    "read_settings",
]

DEFAULT_ENDPOINT = "https://cloud.kili-technology.com/api/label/v2/graphql"
CONFIG_FILE = "kili-sdk-config.json"  # the name that the official SDK looks for, in the working directory, then at home
_TRUE, _FALSE = frozenset({"true", "1", "yes"}), frozenset({"false", "0", "no"})


class Secret(str):
    """Text that goes over the wire as it is, and everywhere else shows as asterisks."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"

    def __str__(self) -> str:
        return "***"

    def __format__(self, spec: str) -> str:
        return format("***", spec)

    def __reduce__(self) -> tuple[type[str], tuple[str]]:
        return str, ("***",)

    def __reduce_ex__(self, protocol: object) -> tuple[type[str], tuple[str]]:
        # `str` brings its own, which would be preferred to `__reduce__`.
        return self.__reduce__()


@dataclass(frozen=True)
class Settings:
    """Where to send requests, with which key, and how far to trust the other end."""

    api_key: Secret
    api_endpoint: str
    verify: bool | str


def read_settings(
    api_key: str | None = None, api_endpoint: str | None = None, *, verify: bool | str | os.PathLike[str] | None = None
) -> Settings:
    """Settle key, endpoint and TLS verification: arguments, then environment, then file, then defaults.

    Raises
    ------
    KiliAuthenticationError
        Where there is no key, or one that no header can carry.
    KiliConnectionError
        Where the endpoint is no URL, or the CA bundle does not exist.
    KiliValidationError
        Where the configuration file cannot be read.
    """
    told = environment()
    endpoint = _first(api_endpoint, told["KILI_API_ENDPOINT"], _configured("api_endpoint", str), DEFAULT_ENDPOINT)
    trust = _first(verify, told["KILI_VERIFY"], _configured("verify_ssl", (bool, str)), True)
    given_key = _first(api_key, told["KILI_API_KEY"])
    key = _first(given_key, _configured("api_key", str))
    settings = Settings(_checked_key(key), _checked_endpoint(endpoint), _checked_trust(trust))
    if given_key is not None and _first(api_endpoint, told["KILI_API_ENDPOINT"]) is None:
        _warn_of_stranger(settings.api_endpoint)
    return settings


def checked_timeout(timeout: float | tuple[float, float]) -> tuple[float, float]:
    """Take one number of seconds, or one to connect and one to read."""
    pair = timeout if isinstance(timeout, tuple | list) else (timeout, timeout)
    if len(pair) != 2 or not all(isinstance(each, int | float) and each > 0 for each in pair):  # noqa: PLR2004
        raise KiliValidationError(f"timeout must be a positive number of seconds, or a pair of them, not {timeout!r}.")
    return float(pair[0]), float(pair[1])


def checked_count(name: str, value: int) -> int:
    """Take a positive whole number."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise KiliValidationError(f"{name} must be a whole number of at least 1, not {value!r}.")
    return value


def environment() -> dict[str, str | None]:
    """Return the environment variables that shape a client; an empty one counts as absent."""
    return {name: os.environ.get(name) or None for name in ("KILI_API_KEY", "KILI_API_ENDPOINT", "KILI_VERIFY")}


def progress_disabled() -> bool | None:
    """Say whether progress bars are switched off by the environment or the file; None where neither says."""
    told = os.environ.get("KILI_DISABLE_TQDM", "").strip().lower()
    if told in _TRUE or told in _FALSE:
        return told in _TRUE
    configured: bool | None = _configured("disable_tqdm", bool)
    return configured


def origin(url: str) -> tuple[str, str, int | None]:
    """Return scheme, host and port: the party that a URL speaks to.

    Raises
    ------
    ValueError
        Where the text is no URL.
    """
    parts = urlsplit(url)
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    return parts.scheme, (parts.hostname or "").rstrip("."), port


def _first(*candidates: Any) -> Any:
    return next((candidate for candidate in candidates if candidate is not None), None)


def _configured(name: str, kind: type | tuple[type, ...]) -> Any:
    path = _config_file()
    return None if path is None else _entry(path, name, kind)


def _config_file() -> Path | None:
    paths = (folder() / CONFIG_FILE for folder in (Path.cwd, Path.home))
    return next((path for path in paths if path.is_file()), None)


def _warn_of_stranger(endpoint: str) -> None:
    """Say where a key of one's own goes, if that is what a file says which may have come with somebody's folder."""
    path = _config_file()
    if path is None or endpoint == DEFAULT_ENDPOINT or path.parent == Path.home():
        return
    warnings.warn(
        f"{path} sends the API key, which is not from there, to {urlsplit(endpoint).hostname}: set KILI_API_ENDPOINT,"
        " or pass api_endpoint=, if that is right; remove the file if you do not know it.",
        UserWarning,
        stacklevel=4,
    )


def _entry(path: Path, name: str, kind: type | tuple[type, ...]) -> Any:
    # The parser's own error would carry the text of the file, which may hold a key.
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        content = None
    if not isinstance(content, dict):
        raise KiliValidationError(f"{path} is not a readable JSON object.")
    value = content.get(name)
    if value is not None and not isinstance(value, kind):
        raise KiliValidationError(f"{path}: {name!r} has a value of the wrong type.")
    return value if value != "" else None


def _checked_key(key: str | None) -> Secret:
    if key is None or not key.strip():
        raise KiliAuthenticationError(
            "No Kili API key: pass api_key=, set the environment variable KILI_API_KEY, or write it as "
            f'"api_key" into {CONFIG_FILE} in the working directory or the home directory.'
        )
    text = key.strip()
    if not re.fullmatch(r"[\x21-\x7e\xa0-\xff]+", text):
        raise KiliAuthenticationError(
            "The Kili API key holds characters that no HTTP header can carry; it may be badly copied."
        )
    return Secret(text)


def _checked_endpoint(endpoint: str) -> str:
    text = endpoint.strip()
    try:
        scheme, host, _ = origin(text)
    except ValueError:
        scheme, host = "", ""
    if scheme not in {"http", "https"} or not host or re.search(r"[\s\x00-\x1f]", text):
        raise KiliConnectionError("The Kili endpoint is no URL: it must look like https://host/api/label/v2/graphql.")
    if "@" in urlsplit(text).netloc or urlsplit(text).fragment:
        raise KiliConnectionError("The Kili endpoint must hold neither a user and password nor a fragment.")
    if scheme == "http" and not _is_loopback(host):
        warnings.warn(
            f"{text} is not encrypted: the API key travels in clear. Use https://.", UserWarning, stacklevel=4
        )
    return text


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _checked_trust(verify: bool | str | os.PathLike[str]) -> bool | str:
    if isinstance(verify, bool):
        return _warned(verify)
    text = os.fspath(verify).strip()
    if text.lower() in _TRUE | _FALSE:
        return _warned(text.lower() in _TRUE)
    if not Path(text).exists():
        raise KiliConnectionError(
            f"verify (KILI_VERIFY) must be true, false or the path of a CA bundle; there is no file {text!r}."
        )
    return text


_SAID: set[str] = set()


def _warned(verify: bool) -> bool:
    """Say once in a process that certificates are not checked."""
    if not verify and not _SAID:
        _SAID.add("unverified")
        warnings.warn("verify=False: whoever sits on the line can read the API key.", UserWarning, stacklevel=5)
    return verify
