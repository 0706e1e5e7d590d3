"""Conservation of mass: in all, and in every cell."""
