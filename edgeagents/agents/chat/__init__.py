"""Chat: a conversation that an agent keeps, and the frames in which a browser takes part in it."""
