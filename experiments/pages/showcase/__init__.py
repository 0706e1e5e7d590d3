"""`physgen showcase`: films and bands of the embedded world for the pages of ``docs/``."""
