"""Pages of the log for those who read it. They show and prove; they must never write anything but their own export."""
