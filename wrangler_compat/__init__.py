"""The room that knows wrangler: its configuration file, its keys, and what a worker written for it looks like.

| to | look in |
|---|---|
| find and read a file | `finding.py`, `encoding.py`, `jsonc.py`, `toml.py` |
| see which keys there are, and what each may be | `keys.py`, `binding_kinds.py`, `rules.py`, made of `shapes.py` |
| follow a configuration to what holds | `config.py`, `environments.py`, `migrations.py`, `declarations.py` |
| see where variables and secrets come from | `variables.py`, `dotenv.py` |
| get from a configuration to running code | `worker_loader.py` |
| tell a person what is wrong | `diagnostics.py` |
"""
