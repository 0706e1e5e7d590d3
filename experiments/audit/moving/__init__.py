"""What moves in a file: tracks, flow, cells and regions as numbers, tables, layers and pictures."""
