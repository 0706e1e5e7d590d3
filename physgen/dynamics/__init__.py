"""From one frame to the next: flow maps, implicit steps, exact heat flow."""
