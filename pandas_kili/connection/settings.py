"""Settings of a client: its arguments, the environment, and the official SDK's configuration file."""

from __future__ import annotations

import ipaddress
import json
import os
import re
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pandas_kili.errors import KiliAuthenticationError, KiliConnectionError, KiliValidationError
from pandas_kili.messages import shown, warn

__all__ = [
    "Secret",
    "Settings",
    "blotted",
    "checked_count",
    "checked_timeout",
    "environment",
    "origin",
    "progress_disabled",
    "read_settings",
]

DEFAULT_ENDPOINT = "https://cloud.kili-technology.com/api/label/v2/graphql"
CONFIG_FILE = "kili-sdk-config.json"  # the name that the official SDK looks for, in the working directory, then at home
_SHORTEST_SECRET = 6  # characters; to blot shorter keys, which only tests have, would blot ordinary words
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


def blotted(text: str, secret: str) -> str:
    """Return a text with a secret replaced by asterisks, however a server may have spelled it."""
    return _spellings(secret).sub("***", text) if len(secret) >= _SHORTEST_SECRET else text


@lru_cache(maxsize=64)
def _spellings(secret: str) -> re.Pattern[str]:
    r"""Match a secret in any case, as it is or with the escapes of JSON (``\/``, ``\u0072``), URLs and HTML."""
    letters = []
    for letter in secret:
        plain = "|".join(map(re.escape, {letter, letter.encode().decode("latin-1")}))  # a body may be read as Latin-1
        code = f"{ord(letter):x}"
        letters.append(rf"(?:\\*(?:{plain})|\\+u0*{code}|%{code}|&#x0*{code};|&#0*{ord(letter)};)")
    return re.compile("".join(letters), re.IGNORECASE)


@dataclass(frozen=True)
class Settings:
    """Where to send requests, the key, and whether certificates are checked."""

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
    variables = environment()
    given_key = _first(api_key, variables["KILI_API_KEY"])
    given_endpoint = _first(api_endpoint, variables["KILI_API_ENDPOINT"])
    key = _first(given_key, _configured("api_key", str))
    endpoint = _first(given_endpoint, _configured("api_endpoint", str), DEFAULT_ENDPOINT)
    trust = _first(verify, variables["KILI_VERIFY"], _configured("verify_ssl", (bool, str)), True)
    settings = Settings(_checked_key(key), _checked_endpoint(endpoint), _checked_trust(trust))
    if given_key is not None and given_endpoint is None:
        _warn_of_foreign_host(settings.api_endpoint)
    return settings


def checked_timeout(timeout: float | tuple[float, float]) -> tuple[float, float]:
    """Take one number of seconds, or one to connect and one to read."""
    pair = timeout if isinstance(timeout, tuple | list) else (timeout, timeout)
    match pair:
        case (int() | float() as connect, int() | float() as read) if connect > 0 and read > 0:
            return float(connect), float(read)
    raise KiliValidationError(f"timeout must be a positive number of seconds, or a pair of them, not {shown(timeout)}.")


def checked_count(name: str, value: int) -> int:
    """Take a positive whole number."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise KiliValidationError(f"{name} must be a whole number of at least 1, not {shown(value)}.")
    return value


def environment() -> dict[str, str | None]:
    """Return the environment variables that shape a client; an empty one counts as absent."""
    return {name: os.environ.get(name) or None for name in ("KILI_API_KEY", "KILI_API_ENDPOINT", "KILI_VERIFY")}


def progress_disabled() -> bool | None:
    """Say whether progress bars are switched off by the environment or the file; None where neither says."""
    word = os.environ.get("KILI_DISABLE_TQDM", "").strip().lower()
    if word in _TRUE | _FALSE:
        return word in _TRUE
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


def _config_file() -> Path | None:
    """Return the file that the official SDK would read; a folder that cannot be entered has none."""
    for folder in (Path.cwd, Path.home):
        # The working directory may be deleted, the home unknown (RuntimeError), and either one closed to this user.
        with suppress(OSError, RuntimeError):
            path = folder() / CONFIG_FILE
            if path.is_file():
                return path
    return None


def _warn_of_foreign_host(endpoint: str) -> None:
    """Warn where a file, which may have come with a stranger's folder, decides to whom the user's own key is sent."""
    path = _config_file()
    if path is None or endpoint == DEFAULT_ENDPOINT:
        return
    with suppress(RuntimeError):  # no home
        if path.parent == Path.home():
            return
    warn(
        f"{path} sends the API key, which does not come from this file, to {urlsplit(endpoint).hostname}: set"
        " KILI_API_ENDPOINT, or pass api_endpoint=, if that is right; remove the file if you do not know it."
    )


def _configured(name: str, kind: type | tuple[type, ...]) -> Any:
    path = _config_file()
    if path is None:
        return None
    # The parser's own error would carry the text of the file, which may hold a key.
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))  # some editors write a byte order mark
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
        warn(f"{text} is not encrypted: the API key travels in clear. Use https://.")
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


_SAID: set[str] = set()  # warnings that were given


def _warned(verify: bool) -> bool:
    """Warn once in a process that certificates are not checked."""
    if not verify and not _SAID:
        _SAID.add("unverified")
        warn("verify=False: anyone on the line between here and the server can read the API key.")
    return verify
