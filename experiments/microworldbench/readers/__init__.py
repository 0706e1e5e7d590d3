"""Readers' labels of tasks, and how often the rules of ``constraint=auto`` agree with them."""
