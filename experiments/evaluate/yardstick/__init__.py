"""What the yardstick sees: errors planted in simulator videos, and which distance, judge or instrument tells them."""
