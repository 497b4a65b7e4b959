"""Databases as each release wrote them, and what makes one more."""
