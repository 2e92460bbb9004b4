"""SQS on the laptop: messages in memory by time and on disk by number, so that no call depends on a queue's length."""
