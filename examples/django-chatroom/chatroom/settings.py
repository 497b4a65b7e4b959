"""Settings: as few as Django needs."""

from __future__ import annotations

import os

SECRET_KEY = "only for the example"
DEBUG = False
ALLOWED_HOSTS = ["127.0.0.1", "localhost"]
ROOT_URLCONF = "chatroom.urls"
INSTALLED_APPS: list[str] = []
MIDDLEWARE: list[str] = []
USE_TZ = True
STATE = os.environ.get("STATE", "state")
