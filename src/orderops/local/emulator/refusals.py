"""How each protocol of AWS refuses a request that it cannot authenticate.

Codes and messages are those of "Common error types" in the API references (query and JSON protocols), of "Error codes
for the Amazon EC2 API" and of "Error responses" of Amazon S3.
"""

from __future__ import annotations

from enum import Enum, auto

from orderops.local.emulator.protocol import ApiError, Request

NEXT_STEP = 'This is the laptop environment of orderops; its key: eval "$(orderops local env)"'
CALCULATED = (
    "The request signature we calculated does not match the signature you provided. "
    "Check your AWS Secret Access Key and signing method."
)
INVALID_TOKEN = "The security token included in the request is invalid."


class Problem(Enum):
    """Reason why a request is not authenticated."""

    UNSIGNED = auto()
    OLD_SIGNATURE = auto()
    UNSIGNED_HEADERS = auto()
    UNKNOWN_KEY = auto()
    WRONG_TOKEN = auto()
    WRONG_CLOCK = auto()
    WRONG_EXPIRY = auto()
    EXPIRED = auto()
    WRONG_SIGNATURE = auto()
    WRONG_PAYLOAD = auto()


Refusal = tuple[str, str, int]
S3: dict[Problem, Refusal] = {
    Problem.UNSIGNED: ("AccessDenied", "Access Denied.", 403),
    Problem.OLD_SIGNATURE: (
        "InvalidRequest",
        "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.",
        400,
    ),
    Problem.UNSIGNED_HEADERS: (
        "AccessDenied",
        "There were headers present in the request which were not signed.",
        403,
    ),
    Problem.UNKNOWN_KEY: (
        "InvalidAccessKeyId",
        "The AWS Access Key Id you provided does not exist in our records.",
        403,
    ),
    Problem.WRONG_TOKEN: ("InvalidToken", "The provided token is malformed or otherwise invalid.", 400),
    Problem.WRONG_CLOCK: (
        "RequestTimeTooSkewed",
        "The difference between the request time and the current time is too large.",
        403,
    ),
    Problem.WRONG_EXPIRY: (
        "AuthorizationQueryParametersError",
        "X-Amz-Expires must be a number between 1 and 604800 (seven days).",
        400,
    ),
    Problem.EXPIRED: ("AccessDenied", "Request has expired.", 403),
    Problem.WRONG_SIGNATURE: ("SignatureDoesNotMatch", CALCULATED, 403),
    Problem.WRONG_PAYLOAD: (
        "XAmzContentSHA256Mismatch",
        "The provided 'x-amz-content-sha256' header does not match what was computed.",
        400,
    ),
}
EC2_CREDENTIALS = ("AuthFailure", "AWS was not able to validate the provided access credentials.", 401)
EC2: dict[Problem, Refusal] = {
    Problem.UNSIGNED: ("MissingAuthenticationToken", "Request is missing Authentication Token.", 403),
    Problem.WRONG_CLOCK: ("RequestExpired", "Request has expired.", 400),
    Problem.EXPIRED: ("RequestExpired", "Request has expired.", 400),
}
QUERY: dict[Problem, Refusal] = {
    Problem.UNSIGNED: ("MissingAuthenticationToken", "Missing Authentication Token.", 403),
    Problem.UNKNOWN_KEY: ("InvalidClientTokenId", INVALID_TOKEN, 403),
    Problem.WRONG_TOKEN: ("InvalidClientTokenId", INVALID_TOKEN, 403),
    Problem.WRONG_CLOCK: ("SignatureDoesNotMatch", "Signature expired or not yet current.", 403),
    Problem.EXPIRED: ("SignatureDoesNotMatch", "Signature expired or not yet current.", 403),
}
XML_REST_SERVICES = frozenset({"route53", "cloudfront"})
# Services that moved from the query to the JSON protocol, whose clients still read the old codes.
MOVED_TO_JSON = frozenset({"sqs", "monitoring"})
# Second names of the same errors in the JSON protocol, all with HTTP 400.
JSON_NAMES = {
    "MissingAuthenticationToken": "MissingAuthenticationTokenException",
    "InvalidClientTokenId": "UnrecognizedClientException",
    "SignatureDoesNotMatch": "InvalidSignatureException",
}


def refusal(request: Request, problem: Problem) -> ApiError:
    """Return the error with which the request's service refuses it."""
    if request.service == "s3" or not (request.service or request.target or request.form):
        code, message, status = S3[problem]
        return ApiError(code, f"{message} {NEXT_STEP}", status)
    if request.service == "ec2":
        code, message, status = EC2.get(problem, EC2_CREDENTIALS)
        return ApiError(code, f"{message} {NEXT_STEP}", status)
    code, message, status = QUERY.get(problem, ("SignatureDoesNotMatch", CALCULATED, 403))
    text = f"{message} {NEXT_STEP}"
    if request.form or request.service in XML_REST_SERVICES:
        return ApiError(code, text, status)
    if request.service in MOVED_TO_JSON:
        return ApiError(code, text, status, JSON_NAMES[code])
    return ApiError(JSON_NAMES[code], text)
