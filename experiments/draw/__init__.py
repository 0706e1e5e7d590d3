"""Videos drawn from a world, guided or not."""
