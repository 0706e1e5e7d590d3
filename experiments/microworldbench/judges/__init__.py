"""Who judges a video, and how they are asked."""
