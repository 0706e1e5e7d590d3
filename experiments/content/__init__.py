"""Content that the prompt asks for: rewards that choose among samples, and what choosing is worth."""
