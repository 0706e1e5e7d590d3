"""`physgen benchmark-guidance`: guided samplers against exact posteriors."""
