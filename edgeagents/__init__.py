"""edgeagents: every user, chat, document or device gets its own little Python server."""
