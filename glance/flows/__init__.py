"""What a task consists of: a flow is a list of steps, a step is a plain do and undo."""
