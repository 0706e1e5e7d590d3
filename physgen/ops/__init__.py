"""Losses with their gradient in one pass: `torch.library` operators over three backends."""
