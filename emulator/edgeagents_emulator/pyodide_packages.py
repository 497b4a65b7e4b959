"""What Pyodide has, which runs Python on Cloudflare: packages with compiled code, and what of Python it lacks.

As of Pyodide 0.28, as far as it can be known without asking anybody.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

__all__ = ["IS_WITHOUT", "PACKAGES", "normal"]

_NAMES: Final = """
affine aiohttp aiosignal altair annotated-types apsw argon2-cffi argon2-cffi-bindings asciitree astropy
astropy-iers-data atomicwrites attrs autograd awkward-cpp b2d bcrypt beautifulsoup4 bilby-cython biopython bitarray
bitstring bleach bokeh boost-histogram brotli cachetools cartopy casadi cbor-diag certifi cffi cffi-example cftime
charset-normalizer clarabel click cligj clingo cloudpickle cmyt colorspacious contourpy coolprop coverage cramjam
crc32c cryptography css-inline cssselect cvxpy-base cycler cysignals cytoolz decorator demes deprecation distlib
docutils donfig duckdb ecos ewah-bool-utils executing fastapi fastparquet filelock fiona fonttools freesasa
freetype-py frozenlist fsspec future galpy gmpy2 google-crc32c gsw h11 h3 h5py healpy highspy html5lib httpcore
httpx hypothesis idna igraph imageio imgui-bundle iminuit iniconfig inspice ipython jedi jinja2 jiter joblib
jsonpatch jsonpointer jsonschema jsonschema-specifications kiwisolver lakers-python lazy-loader lazy-object-proxy
libcst lightgbm logbook lxml lz4 markupsafe matplotlib matplotlib-inline memory-allocator mmh3 more-itertools mpmath
msgpack msgspec msprime multidict munch mypy narwhals netcdf4 networkx newick nh3 nlopt nltk numcodecs numpy openai
opencv-python optlang orjson packaging pandas parso patsy pcodec peewee pi-heif pillow pillow-heif pkgconfig
platformdirs pluggy ply polars primecountpy prompt-toolkit propcache protobuf pure-eval py pyarrow pyclipper
pycparser pycryptodome pycryptodomex pydantic pydantic-core pyerfa pygame-ce pygments pyheif pyinstrument pymongo
pymupdf pynacl pyodide-http pyparsing pyproj pyrsistent pysam pyshp pytaglib pytest pytest-asyncio pytest-benchmark
pytest-httpx python-calamine python-dateutil python-flint python-magic python-sat python-solvespace pytz pywavelets
pyxel pyxirr pyyaml rasterio rateslib rebound reboundx referencing regex requests retrying rich river robotraconteur
rpds-py ruamel-yaml rustworkx safetensors scikit-image scikit-learn scipy screed setuptools shapely simplejson sisl
six smart-open sniffio sortedcontainers soundfile soupsieve sourmash soxr sparseqr sqlalchemy stack-data starlette
statsmodels strictyaml svgwrite swiglpk sympy tblib termcolor texttable threadpoolctl tiktoken tokenize-rt tomli
tomli-w toolz tqdm traitlets traits tree-sitter tree-sitter-go tree-sitter-java tree-sitter-python tsinfer tskit
typing-extensions tzdata ujson uncertainties unyt urllib3 vega-datasets vrplib wcwidth webencodings wordcloud wrapt
xarray xgboost xlrd xxhash xyzservices yarl yt zarr zengl zfpy zstandard
"""

PACKAGES: Final = frozenset(_NAMES.split())
"""Packages that Pyodide brings, by their normalised names."""

IS_WITHOUT: Final[Mapping[str, str]] = {
    "curses": "is not in Pyodide",
    "dbm": "is not in Pyodide",
    "ensurepip": "is not in Pyodide",
    "fcntl": "is not in Pyodide",
    "grp": "is not in Pyodide",
    "idlelib": "is not in Pyodide",
    "multiprocessing": "starts no process: one worker is one process",
    "pty": "is not in Pyodide",
    "pwd": "is not in Pyodide",
    "readline": "is not in Pyodide",
    "resource": "is not in Pyodide",
    "subprocess": "starts no process: a worker cannot have one",
    "syslog": "is not in Pyodide",
    "termios": "is not in Pyodide",
    "tkinter": "is not in Pyodide",
    "tty": "is not in Pyodide",
    "turtle": "is not in Pyodide",
    "venv": "is not in Pyodide",
}
"""Modules of Python that a deployed worker cannot use, and why."""


def normal(name: str) -> str:
    """Return the normalised name of a package."""
    return re.sub(r"[-_.]+", "-", name).lower()
