"""Missing packages: what to type when an import finds nothing.

What a module is called says little about the package that has it. The ones that people ask for most are known here; for
the others a project's ``pyproject.toml`` may have a line, or the names are the same.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, cast

__all__ = ["how_to_install", "package_of"]

# Where a module is not called as its package is. Longer names stand for what is below them.
_PACKAGES: Final[Mapping[str, str]] = {
    "Crypto": "pycryptodome",
    "Cryptodome": "pycryptodomex",
    "MySQLdb": "mysqlclient",
    "OpenSSL": "pyopenssl",
    "PIL": "pillow",
    "attr": "attrs",
    "bs4": "beautifulsoup4",
    "cv2": "opencv-python-headless",
    "dateutil": "python-dateutil",
    "dns": "dnspython",
    "docx": "python-docx",
    "dotenv": "python-dotenv",
    "faiss": "faiss-cpu",
    "fitz": "pymupdf",
    "git": "gitpython",
    "github": "pygithub",
    "google.auth": "google-auth",
    "google.cloud": "google-cloud",
    "google.genai": "google-genai",
    "google.generativeai": "google-generativeai",
    "google.protobuf": "protobuf",
    "googleapiclient": "google-api-python-client",
    "grpc": "grpcio",
    "jose": "python-jose",
    "jwt": "pyjwt",
    "kafka": "kafka-python",
    "magic": "python-magic",
    "multipart": "python-multipart",
    "mysql.connector": "mysql-connector-python",
    "nacl": "pynacl",
    "pptx": "python-pptx",
    "psycopg2": "psycopg2-binary",
    "serial": "pyserial",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "slugify": "python-slugify",
    "socks": "pysocks",
    "telegram": "python-telegram-bot",
    "usb": "pyusb",
    "websocket": "websocket-client",
    "win32api": "pywin32",
    "yaml": "pyyaml",
    "zmq": "pyzmq",
}
_NAME: Final = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)")


def package_of(module: str) -> str:
    """Return the package that has ``module``: as it is known, else as the module is called."""
    parts = module.split(".")
    for length in range(len(parts), 0, -1):
        known = _PACKAGES.get(".".join(parts[:length]))
        if known is not None:
            # google.cloud.storage is in google-cloud-storage, and so are its neighbours.
            return f"{known}-{parts[2]}" if known == "google-cloud" and len(parts) > 2 else known
    return parts[0].replace("_", "-")


def how_to_install(module: str, directory: Path) -> str:
    """Return a sentence with the line to type for ``module`` in the project of ``directory``.

    A line of the project's dependencies is what is installed; where ``uv`` keeps the project, it does it.
    """
    package = package_of(module)
    wanted = _normal(package)
    top = _normal(module.partition(".")[0])
    dependencies = _dependencies(directory)
    asked = next((line for line in dependencies or () if _normal_of(line) in (wanted, top)), None)
    is_uv = (directory / "uv.lock").is_file()
    if asked is not None:
        line = "uv sync" if is_uv else f"pip install {_quoted(asked)}"
        return f"pyproject.toml asks for {asked!r}. Install it: {line}"
    if is_uv:
        return f"Install it: uv add {package}"
    if dependencies is not None:
        return f"Add {package!r} to dependencies in pyproject.toml, and install it: pip install {package}"
    return f"Install it: pip install {package}"


def _dependencies(directory: Path) -> Sequence[str] | None:
    """Return what ``pyproject.toml`` asks for; None when it has no such list."""
    try:
        project: Any = tomllib.loads((directory / "pyproject.toml").read_text(encoding="utf-8")).get("project")
    except (OSError, ValueError):
        return None  # Another tool will say what is wrong with it.
    found: Any = cast("dict[str, Any]", project).get("dependencies") if isinstance(project, dict) else None
    return [line for line in found if isinstance(line, str)] if isinstance(found, list) else None


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _normal_of(requirement: str) -> str:
    name = _NAME.match(requirement)
    return "" if name is None else _normal(name[1])


def _quoted(requirement: str) -> str:
    return requirement if re.fullmatch(r"[A-Za-z0-9._-]+(==[A-Za-z0-9.]+)?", requirement) else f"'{requirement}'"
