"""The only gateway to AWS: clients, errors and their diagnosis, ownership tags, documents in S3, the call log."""
