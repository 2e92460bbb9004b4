"""Known failures of the way to AWS, of AWS itself, and of what stands in its place."""

from __future__ import annotations

from orderops.aws.diagnosis.rule import KnownError, codes

URL = r'(?:URL|endpoint)[^"]*"(?P<url>[a-z]+://(?P<host>[^/:"]+)[^"]*)"'
NO_NAME = r"name or service not known|nodename nor servname|name resolution|getaddrinfo|failed to resolve|no address"
REFUSED = r"connection refused|actively refused"
SLOW = r"timed? ?out"
PROXY = r"proxy"
BUNDLE = r"no such file or directory$|CA certificate bundle|\.(pem|crt)\b"
NOT_AWS = r"not an answer of AWS|does not speak as AWS"
INSIDE = codes(
    "InternalFailure",
    "InternalError",
    "InternalServerError",
    "InternalServerException",
    "InternalServiceError",
    "InternalServiceErrorException",
    "InternalServiceException",
    "InternalServiceFault",
    "RequestTimeout",
    "RequestTimeoutException",
    "ServerException",
    "ServiceException",
    "ServiceUnavailable",
    "ServiceUnavailableException",
    "Unavailable",
    "500",
    "503",
)
THROTTLED = codes(
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "Throttled",
    "RequestThrottled",
    "RequestThrottledException",
    "TooManyRequestsException",
    "RequestLimitExceeded",
    "BandwidthLimitExceeded",
    "SlowDown",
    "EC2ThrottledException",
    "KmsThrottled",
    "429",
)

FAILURES = (
    KnownError(
        "no-such-host",
        codes("Unreachable"),
        "{host} has no address: no network, no DNS, or a region that does not exist (here: {region})",
        "getent hosts {host}",
        words=rf"^(?!.*{PROXY}).*{URL}.*({NO_NAME})",
    ),
    KnownError(
        "nobody-listens",
        codes("Unreachable"),
        "nothing listens at {url}",
        "is that the right place? echo $AWS_ENDPOINT_URL; what runs on this machine: orderops local status",
        words=rf"^(?!.*{PROXY}).*{URL}.*({REFUSED})",
    ),
    KnownError(
        "no-answer-in-time",
        codes("Unreachable"),
        "nothing answers at {url}; a firewall may be in the way",
        "curl -m 5 -sS -o /dev/null {url} && echo reachable",
        words=rf"^(?!.*{PROXY}).*{SLOW}.*{URL}",
    ),
    KnownError(
        "proxy-away",
        codes("Unreachable", "InvalidProxiesConfigError"),
        "the proxy cannot be used",
        "is it the right one? env | grep -i _proxy; without it: env -u HTTPS_PROXY -u https_proxy orderops doctor{env}",
        words=PROXY,
    ),
    KnownError(
        "unreachable",
        codes("Unreachable"),
        "AWS cannot be reached from here",
        "is the network there, and AWS_ENDPOINT_URL right? orderops doctor{env}",
        words=rf"^(?!.*({PROXY}|{NO_NAME}|{REFUSED}|{SLOW}))",
    ),
    KnownError(
        "tls-refused",
        codes("SSLError"),
        "the certificate of what answered is not one of AWS's",
        "behind a proxy with a certificate of its own, name that: export AWS_CA_BUNDLE=/path/to/ca.pem",
        words=rf"^(?!.*({BUNDLE}))",
    ),
    KnownError(
        "ca-bundle-missing",
        codes("SSLError", "OSError", "FileNotFoundError"),
        "the file of certificates that is named cannot be read",
        "is it there? ls -l $AWS_CA_BUNDLE $REQUESTS_CA_BUNDLE; or do without: unset AWS_CA_BUNDLE REQUESTS_CA_BUNDLE",
        words=rf"{BUNDLE}",
    ),
    KnownError(
        "endpoint-malformed",
        codes("InvalidEndpoint"),
        "AWS_ENDPOINT_URL is no URL",
        "an endpoint is a URL such as http://127.0.0.1:5000; for AWS itself: unset AWS_ENDPOINT_URL",
    ),
    KnownError(
        "not-aws",
        codes("LostAnswer", "HTTP 500", "HTTP 502", "HTTP 503", "HTTP 504"),
        "what answered is not AWS: the page of a proxy, a login or an error",
        "is the network there, and AWS_ENDPOINT_URL right? orderops doctor{env}",
        words=NOT_AWS,
    ),
    KnownError(
        "answer-cut",
        codes("LostAnswer"),
        "the connection broke before the answer was whole, and nobody knows whether it took effect",
        "the same command looks first, and goes on from there",
        words=rf"^(?!.*({NOT_AWS}))",
    ),
    KnownError(
        "emulator-mistake",
        codes("InternalFailure"),
        "the laptop's emulator made a mistake",
        "what it wrote: orderops local logs; start it anew: orderops local stop && orderops up",
        words=r"^\w+(Error|Exception|Exit)\b",
    ),
    KnownError(
        "inside-aws",
        INSIDE,
        "an error inside AWS, which may have taken effect (request {request})",
        "the same command looks first, and goes on; is {region} well? https://health.aws.amazon.com/health/status",
        words=r"^(?!\w+(Error|Exception|Exit)\b)",
    ),
    KnownError(
        "throttled",
        THROTTLED,
        "too many calls in this account and region, by us or by others, for longer than it was worth waiting",
        "the same command in some minutes; who calls: aws cloudtrail lookup-events --max-results 50 --region {region} "
        "--query 'Events[].[Username,EventName]' --output text",
    ),
    KnownError(
        "changed-by-others",
        codes("ConcurrentModification", "ConcurrentUpdateException", "OperationAbortedException", "OperationAborted")
        | codes("ConcurrentAccess", "PriorRequestNotComplete", "ConcurrentModificationException"),
        "somebody else is changing {thing} all the time",
        "the same command, when they are done",
    ),
    KnownError(
        "not-emulated",
        codes("NotEmulated"),
        "the laptop cannot do that; AWS can",
        "try it there: the same command with --env dev",
    ),
)
