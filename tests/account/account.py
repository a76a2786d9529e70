"""An account for the tests: moto in this process, filled through its API.

Called with a port and the kind of account: clean, faulty, denied, or `rights:` and the path of a policy. Prints `ready`,
and for the denied one the key of a user whose policy allows half of the calls, and serves until it is ended. For rights, the
keys of users that have all of the policy but one action are written beside it. What the API cannot do (a key of last year) is
done to the server's memory.
"""

import datetime
import json
import sys
import threading
import time
import urllib.request

import boto3
from moto.core.responses import ActionResult
from moto.iam.responses import IamResponse
from moto.s3.responses import S3Response
from moto.server import main as serve

PORT, (KIND, _, POLICY) = int(sys.argv[1]), sys.argv[2].partition(":")
URL = f"http://127.0.0.1:{PORT}"
HOME, FAR = "eu-central-1", "us-east-1"
ACCOUNT = "123456789012"


def versioning(self):
    """What S3 answers: moto names the root element after the call, which no SDK of S3 understands."""
    status = self.backend.get_bucket_versioning(self.bucket_name)
    inner = f"<Status>{status}</Status>" if status else ""
    return 200, {}, f"<VersioningConfiguration>{inner}</VersioningConfiguration>"


S3Response.get_bucket_versioning = versioning


UNKNOWN = {"analytics", "intelligent-tiering", "metrics", "requestPayment"}
known_only = S3Response._bucket_response_get


def bucket_response_get(self, bucket_name, querystring):
    """What servers answer that have no such call: moto lists the bucket, which says nothing about the setting."""
    if UNKNOWN & set(querystring):
        return 501, {}, "<Error><Code>NotImplemented</Code><Message>not in this server</Message></Error>"
    return known_only(self, bucket_name, querystring)


S3Response._bucket_response_get = bucket_response_get


def credential_report(self):
    """What IAM answers: moto's report is always of 2015, and leaves the root user out. Each is a new one here."""
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    report = self.backend.get_credential_report()
    header, users = report.split("\n", 1)
    root = dict.fromkeys(header.split(","), "N/A") | {"user": "<root_account>", "mfa_active": "true"}
    root |= {"password_enabled": "not_supported", "access_key_1_active": "false", "access_key_2_active": "false"}
    report = "\n".join([header, ",".join(root.values()), users])
    return ActionResult({"Content": report, "ReportFormat": "text/csv", "GeneratedTime": now})


IamResponse.get_credential_report = credential_report


def client(service, region=HOME):
    return boto3.client(service, region_name=region, endpoint_url=URL, aws_access_key_id="a", aws_secret_access_key="b")


def bucket(name, region=HOME, encrypted=True, block=True):
    s3 = client("s3", region)
    place = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
    s3.create_bucket(Bucket=name, **place)
    if encrypted:
        rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
        s3.put_bucket_encryption(Bucket=name, ServerSideEncryptionConfiguration={"Rules": [rule]})
    if block:
        names = ["BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"]
        s3.put_public_access_block(Bucket=name, PublicAccessBlockConfiguration=dict.fromkeys(names, True))
    return s3


def database(name, encrypted=True, public=False):
    rds = client("rds")
    rds.create_db_instance(
        DBInstanceIdentifier=name,
        DBInstanceClass="db.m5.large",
        Engine="postgres",
        AllocatedStorage=20,
        MasterUsername="master",
        MasterUserPassword="not-a-secret-here",
        StorageEncrypted=encrypted,
        PubliclyAccessible=public,
    )
    return rds


def user(name, mfa, key_days=None):
    iam = client("iam")
    iam.create_user(UserName=name)
    iam.create_login_profile(UserName=name, Password="Not-4-Secret!")
    if mfa:
        serial = iam.create_virtual_mfa_device(VirtualMFADeviceName=name)["VirtualMFADevice"]["SerialNumber"]
        iam.enable_mfa_device(
            UserName=name, SerialNumber=serial, AuthenticationCode1="123456", AuthenticationCode2="654321"
        )
    if key_days is not None:
        iam.create_access_key(UserName=name)
        from moto.iam.models import iam_backends

        key = iam_backends[ACCOUNT]["aws"].users[name].access_keys[0]
        key.create_date = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(days=key_days)
        key.last_used = datetime.datetime.now(datetime.timezone.utc)


def clean():
    s3 = bucket("acme-invoices")
    s3.put_bucket_tagging(Bucket="acme-invoices", Tagging={"TagSet": [{"Key": "class", "Value": "records"}]})
    for number in range(3):
        s3.put_object(Bucket="acme-invoices", Key=f"2026/{number}", Body=f"invoice {number}".encode())
    s3 = bucket("acme-contracts")
    s3.put_object(Bucket="acme-contracts", Key="one", Body=b"signed")
    s3.put_bucket_tagging(Bucket="acme-contracts", Tagging={"TagSet": [{"Key": "class", "Value": "scratch"}]})
    rds = database("ledger")
    rds.create_db_snapshot(DBInstanceIdentifier="ledger", DBSnapshotIdentifier="ledger-monthly")
    user("alice", mfa=True, key_days=10)


def faulty():
    clean()
    s3 = bucket("acme-open", encrypted=False, block=False)
    policy = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::acme-open/*"}
    s3.put_bucket_policy(
        Bucket="acme-open", Policy=json.dumps({"Version": "2012-10-17", "Statement": [policy]})
    )
    s3.put_object(Bucket="acme-open", Key="leak", Body=b"leak")
    bucket("acme-far", region=FAR)
    rds = database("gone", encrypted=False)
    rds.create_db_snapshot(DBInstanceIdentifier="gone", DBSnapshotIdentifier="gone-last")
    rds.delete_db_instance(DBInstanceIdentifier="gone", SkipFinalSnapshot=True)
    rds.create_db_snapshot(DBInstanceIdentifier="ledger", DBSnapshotIdentifier="ledger-open")
    rds.modify_db_snapshot_attribute(
        DBSnapshotIdentifier="ledger-open", AttributeName="restore", ValuesToAdd=["all"]
    )
    user("bob", mfa=False, key_days=400)


def denied():
    faulty()
    iam = client("iam")
    iam.create_user(UserName="auditor")
    allowed = [
        "s3:ListAllMyBuckets",
        "s3:ListBucket",
        "s3:GetObject",
        "s3:GetBucketLocation",
        "s3:GetBucketAcl",
        "rds:DescribeDBInstances",
        "rds:DescribeDBClusters",
        "sts:GetCallerIdentity",
    ]
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": allowed, "Resource": "*"}]}
    iam.put_user_policy(UserName="auditor", PolicyName="half", PolicyDocument=json.dumps(policy))
    key = iam.create_access_key(UserName="auditor")["AccessKey"]
    enforce()
    return key["AccessKeyId"], key["SecretAccessKey"]


def rights():
    faulty()
    iam = client("iam")
    with open(POLICY) as file:
        statements = json.load(file)["Statement"]
    actions = sorted({action for statement in statements for action in statement["Action"]})
    keys = []
    for number, missing in enumerate(["", *actions]):
        # moto does not know the conditions of services, and calls some actions otherwise: CloudWatch's by the name of the
        # endpoint, and those of buckets that it has no name for, like the list of objects.
        own = {"cloudwatch:ListMetrics": "monitoring:ListMetrics", "cloudwatch:GetMetricData": "monitoring:GetMetricData"}
        own |= {"s3:ListBucket": "s3:ListBucket", "s3:GetAccountPublicAccessBlock": "s3:GetPublicAccessBlock"}
        rest = [{"Effect": "Allow", "Action": [ours for name, ours in own.items() if name != missing], "Resource": ["*"]}]
        rest += [
            {"Effect": "Allow", "Action": [one for one in s["Action"] if one != missing], "Resource": s["Resource"]}
            for s in statements
        ]
        policy = {"Version": "2012-10-17", "Statement": [statement for statement in rest if statement["Action"]]}
        name = f"user-{number}"
        iam.create_user(UserName=name)
        iam.put_user_policy(UserName=name, PolicyName="most", PolicyDocument=json.dumps(policy))
        key = iam.create_access_key(UserName=name)["AccessKey"]
        keys.append([missing, key["AccessKeyId"], key["SecretAccessKey"]])
    enforce()
    with open(f"{POLICY}.keys", "w") as file:
        json.dump(keys, file)


def enforce():
    request = urllib.request.Request(
        f"{URL}/moto-api/reset-auth", data=b"0", headers={"Content-Type": "text/plain"}, method="POST"
    )
    urllib.request.urlopen(request).read()


threading.Thread(target=serve, args=(["-H", "127.0.0.1", "-p", str(PORT)],), daemon=True).start()
for _ in range(600):
    try:
        urllib.request.urlopen(f"{URL}/moto-api/data.json").read()
        break
    except OSError:
        time.sleep(0.05)
key = {"clean": clean, "faulty": faulty, "denied": denied, "rights": rights}[KIND]()
print("ready", *(key or ()), flush=True)
threading.Event().wait()
