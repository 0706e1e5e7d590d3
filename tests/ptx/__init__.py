"""A functional interpreter of the PTX that Triton emits, for machines without a GPU."""
