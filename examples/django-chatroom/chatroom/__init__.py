"""A chat room in Django: the room is an agent, the pages are Django's."""
