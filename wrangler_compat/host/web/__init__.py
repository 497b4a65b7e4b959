"""The web platform: the classes that a worker finds in the global scope."""
