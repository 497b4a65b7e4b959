"""JavaScript's object model: proxies, plain values, errors, promises, and conversions from and to Python."""
