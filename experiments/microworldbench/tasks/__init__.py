"""MicroWorldBench's tasks and rubrics."""
