"""`physgen align`: a world learns from those of its own samples that instruments accept."""
