"""From latents to fields, with a gradient in little memory."""
