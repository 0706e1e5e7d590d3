"""Well-mixed reactions of spatial means."""
