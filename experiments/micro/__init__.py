"""Guidance in the embedded world: every constraint with every algorithm, and parameters imposed and measured back.

It has no job of its own: `physgen benchmark-guidance problem=micro` and ``problem=dial`` run it, see
``posterior/job.py``.
"""
