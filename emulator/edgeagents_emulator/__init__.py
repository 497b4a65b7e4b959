"""The room that knows a project's folder, a port, a process and a file watcher.

| to | look in |
|---|---|
| see how a project is booted and served | `host.py`, `project.py`, `options.py` |
| see what a developer reads | `banner.py`, `access_log.py`, `log.py`, `error_page.py` |
| start from a command line, with reload | `command.py`, `cli.py`, `dev.py`, `reload.py`, `serve.py` |
| know what is mended in the server | `hypercorn_fixes.py` |
"""
