"""The past brought back to a new instance: restored, compared, promoted and turned back, proven by drills."""
