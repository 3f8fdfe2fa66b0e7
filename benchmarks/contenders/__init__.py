"""Those that are compared: each task runs in a process of its own, by the interpreter that has what it needs."""
