"""`physgen benchmark moving`: laws and measurements of what moves, on truth and on planted faults."""
