"""What is measured in one process, without a server: calls, SQL, commits, memory, imports."""
