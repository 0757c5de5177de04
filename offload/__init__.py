"""Which bytes live in which memory, and when they move: files, addresses and policies, no engine."""
