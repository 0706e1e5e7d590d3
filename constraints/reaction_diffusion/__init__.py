"""Species diffuse and react as their equation says."""
