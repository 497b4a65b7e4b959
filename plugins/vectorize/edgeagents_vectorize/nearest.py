"""Which vectors are nearest, by trying them all: 20,000 of 384 dimensions take a few milliseconds."""

from __future__ import annotations

from typing import Any, Final, Literal, get_args

import numpy as np

__all__ = ["METRICS", "Matrix", "Metric", "matrix_of", "nearest"]

Metric = Literal["cosine", "euclidean", "dot-product"]
METRICS: Final = get_args(Metric)

Matrix = Any
"""A numpy array: vectors in rows."""


def matrix_of(blobs: list[bytes], dimensions: int) -> Matrix:
    """Return the vectors whose bytes (32-bit floats) these are."""
    return np.frombuffer(b"".join(blobs), dtype="<f4").reshape(len(blobs), dimensions)


def nearest(matrix: Matrix, vector: list[float], metric: Metric, rows: list[int] | None, count: int) -> list[Any]:
    """Return ``(row, score)`` of up to ``count`` vectors, the nearest first. ``rows`` are those that may be chosen.

    The score is the cosine (1 for the same direction), the distance, or the negative dot product; of equal ones the
    first comes first.
    """
    chosen = matrix if rows is None else matrix[rows]
    if not len(chosen):
        return []
    scores = _scores(chosen, np.asarray(vector, dtype=np.float32), metric)
    order = np.argsort(-scores if metric == "cosine" else scores, kind="stable")[:count]
    return [(int(i if rows is None else rows[i]), float(scores[i])) for i in order]


def _scores(matrix: Matrix, vector: Matrix, metric: Metric) -> Matrix:
    if metric == "euclidean":
        return np.linalg.norm(matrix - vector, axis=1)
    dots = matrix @ vector
    if metric == "dot-product":
        return -dots
    lengths = np.linalg.norm(matrix, axis=1) * np.linalg.norm(vector)
    # A vector of zeros has no direction: it is near to nothing.
    return np.divide(dots, lengths, out=np.zeros_like(dots), where=lengths > 0)
