"""What the law of transport is worth on blood of the embedded world."""
