"""The host: what a Python Worker on Cloudflare's SDK stands on, on plain CPython.

| to | look in |
|---|---|
| see JavaScript's objects, and conversions | `model/` |
| see the web's classes: requests, streams, sockets | `web/` |
| see how the modules come into the process | `importing.py`, `modules.py`, `js_module.py`, `ffi.py`, `platform.py` |
| see how code waits for what is asynchronous | `run_sync.py`, `webloop.py` |
| see how handlers are called | `loading.py`, `entry.py`, `context.py` |
| see how bindings look to JavaScript | `environment.py`, `facade.py` |
| see what is stored and sent for a value | `clone.py`, and the classes of `wrangler_compat/cloned.py` |
"""
