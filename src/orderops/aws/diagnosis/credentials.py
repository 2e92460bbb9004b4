"""Known failures before AWS knows who asks: credentials, keys, clocks, accounts, regions."""

from __future__ import annotations

from datetime import UTC, datetime

from orderops.aws.diagnosis.rule import ErrorContext, KnownError, Values, codes

EXPIRED = codes("ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired")
UNKNOWN_KEY = codes("InvalidClientTokenId", "UnrecognizedClientException", "InvalidAccessKeyId")
WRONG_SIGNATURE = codes("SignatureDoesNotMatch", "InvalidSignatureException", "InvalidSignature")
OPT_IN_REGIONS = codes("af-south-1", "ap-east-1", "ap-east-2", "ap-south-2", "ca-west-1", "eu-central-2") | codes(
    *(f"ap-southeast-{number}" for number in range(3, 8)),
    *("eu-south-1", "eu-south-2", "il-central-1", "me-central-1", "me-south-1", "mx-central-1"),
)
ENABLE_REGION = "aws account enable-region --region-name {region} (some minutes later: orderops doctor{env})"
SUPPORT = "https://console.aws.amazon.com/support/home#/case/create"
SKEW = r"signature (?:not yet current|expired): (?P<sent>\w+) is .*?\((?P<heard>\w+) [-+] "


def _skew(said: ErrorContext, found: Values) -> Values:
    """By how much this machine's clock is wrong, as AWS's sentence shows it."""
    try:
        sent, heard = (datetime.strptime(found[key], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC) for key in ("sent", "heard"))
    except (KeyError, ValueError):
        return {"wrong": "by more than AWS allows"}
    minutes = round(abs((sent - heard).total_seconds()) / 60)
    return {"wrong": f"by {minutes} min ({'behind' if sent < heard else 'ahead'})"}


FAILURES = (
    KnownError(
        "sso-expired",
        EXPIRED,
        "the SSO session ran out, or nobody is logged in",
        "aws sso login, then the same command",
        words=r"\bSSO\b",
    ),
    KnownError(
        "login-expired",
        codes("LoginRefreshRequired", "LoginTokenLoadError", "LoginError", "LoginAuthorizationCodeError"),
        "the login session ran out",
        "aws login, then the same command",
    ),
    KnownError(
        "credentials-expired",
        EXPIRED,
        "the credentials ran out",
        "renew them as you got them (aws sso login, or export new ones), then the same command",
        words=r"^(?!.*\bSSO\b)",
    ),
    KnownError(
        "no-credentials",
        codes("NoCredentials"),
        "there are no credentials",
        "export AWS_PROFILE=NAME (which there are: aws configure list-profiles), or make some: aws configure sso",
    ),
    KnownError(
        "half-credentials",
        codes("PartialCredentials"),
        "only half of a key pair is given",
        "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or neither; what is set: aws configure list",
    ),
    KnownError(
        "profile-missing",
        codes("ProfileNotFound"),
        "no profile is named {profile!r}",
        "the profiles here: aws configure list-profiles; then: export AWS_PROFILE=NAME",
        words=r"profile \((?P<profile>[^)]*)\)",
    ),
    KnownError(
        "configuration-unreadable",
        codes("ConfigParseError", "ConfigNotFound", "InvalidConfigError", "InfiniteLoopConfigError"),
        "the configuration of the AWS tools cannot be read",
        "mend it; which files and profile are meant: aws configure list",
    ),
    KnownError(
        "credentials-source",
        codes("CredentialRetrievalError", "MetadataRetrievalError", "LoginInsufficientPermissions"),
        "the source of these credentials gives none",
        "what it says by itself: aws sts get-caller-identity --debug 2>&1 | tail -n 20",
    ),
    KnownError(
        "credentials-program",
        codes("FileNotFoundError", "PermissionError", "NotADirectoryError"),
        "a file that these credentials come from cannot be used: {path}",
        "which program and files are meant: grep -n credential_process ${{AWS_CONFIG_FILE:-~/.aws/config}}",
        words=r"^(?!.*(CA certificate bundle|\.(?:pem|crt)\b)).*?'(?P<path>[^']+)'",
    ),
    KnownError(
        "second-factor",
        codes("RefreshWithMFAUnsupportedError"),
        "this profile asks for a second factor, which nobody can type here",
        "aws sts get-session-token --serial-number ARN --token-code CODE, export what it says, then the same command",
    ),
    KnownError(
        "no-region",
        codes("NoRegionError"),
        "no region is set",
        'name it in {file}: region = "ap-southeast-2"',
    ),
    KnownError(
        "region-malformed",
        codes("InvalidRegionError"),
        "{region!r} is no name of a region",
        'mend it in {file}, as: region = "ap-southeast-2"',
    ),
    KnownError(
        "region-off",
        UNKNOWN_KEY | codes("OptInRequired"),
        "the region {region} is not enabled in this account, or the key is unknown",
        ENABLE_REGION,
        regions=OPT_IN_REGIONS,
    ),
    KnownError(
        "key-unknown",
        UNKNOWN_KEY,
        "AWS does not know this access key: deleted, switched off, or mistyped",
        "where the key comes from: aws configure list; then a new one, or another profile: export AWS_PROFILE=NAME",
    ),
    KnownError(
        "secret-key-wrong",
        WRONG_SIGNATURE,
        "the secret key does not belong to the access key",
        "enter the pair anew: aws configure (a character is easily lost when it is pasted)",
        words=r"^(?!.*signature (not yet current|expired))",
    ),
    KnownError(
        "clock-wrong",
        WRONG_SIGNATURE | codes("RequestTimeTooSkewed", "RequestInTheFuture"),
        "this machine's clock is wrong {wrong}",
        "set it: sudo timedatectl set-ntp true; compare: date -u; then the same command",
        words=rf"{SKEW}|request time|too large",
        fill=_skew,
    ),
    KnownError(
        "credentials-not-accepted",
        codes("AuthFailure"),
        "EC2 does not accept these credentials: an unknown key, a region that is off, or a clock more than 5 min wrong",
        "tell which: date -u; aws sts get-caller-identity --region {region}",
        words=r"validate the provided access credentials",
    ),
    KnownError(
        "not-signed",
        codes("MissingAuthenticationToken", "MissingAuthenticationTokenException", "IncompleteSignature"),
        "the call arrived without its signature; a proxy may have taken it off",
        "go past it: export NO_PROXY=.amazonaws.com; then the same command",
    ),
    KnownError(
        "account-not-ready",
        codes("PendingVerification", "Blocked", "AccountProblem", "NotSignedUp", "SubscriptionRequiredException")
        | codes("OptInRequired", "AccountSuspended", "InvalidAccountStatus", "OperationNotPermitted"),
        "AWS has not verified this account, or has suspended it",
        f"only AWS can lift that: {SUPPORT}",
        words=r"verif|validat|block|suspend|sign|subscri|problem|account currently does not support",
    ),
)
