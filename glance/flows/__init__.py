"""What a task consists of: flows are lists of steps, steps are plain do and undo."""
