"""`physgen benchmark protocol`: all arms of a guided world on the tasks, judged together and reported."""
