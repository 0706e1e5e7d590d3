"""What is seen is carried by a flow that is fitted."""
