"""The page for customers in a bucket, from which a distribution or a website serves it."""

from __future__ import annotations

from orderops.aws.client import Aws
from orderops.errors import AwsError, OrderopsError

KEY = "index.html"


def put_page(aws: Aws, bucket: str, page: str) -> str:
    """Replace the page in a bucket of this account, and return its place. Raises OrderopsError without the bucket."""
    try:
        aws.s3.put_object(
            Bucket=bucket,
            # With the owner, S3 refuses the call if another account took the name first.
            ExpectedBucketOwner=aws.account,
            Key=KEY,
            Body=page.encode(),
            ContentType="text/html; charset=utf-8",
            # Shorter than the time after which the page reads itself again.
            CacheControl="max-age=30",
        )
    except AwsError as error:
        if error.code == "NoSuchBucket":
            raise OrderopsError(
                f"there is no bucket {bucket}", f"create it: aws s3 mb s3://{bucket} --region {aws.region}"
            ) from None
        raise
    return f"s3://{bucket}/{KEY}"
