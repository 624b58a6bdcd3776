"""What runs by the clock or behind a page: schedules, retries, and recovery of jobs whose worker died."""
