"""What comes in: events and listings, and the loop that turns them into routers."""
