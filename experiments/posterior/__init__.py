"""`physgen benchmark-guidance`: guided samplers against exact posteriors, and in the embedded world."""
