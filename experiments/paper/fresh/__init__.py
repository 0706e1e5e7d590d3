"""`physgen paper fresh`: a stated part of every table made again, and compared number by number."""
