"""The corrections of S3: `checksums` and `object_memory`, with the CRC that Python lacks."""

import base64
import hashlib
import zlib
from typing import Any

import pytest
from botocore.exceptions import ClientError
from mypy_boto3_s3 import S3Client
from tests.unit.lab.asking import refused
from tests.unit.lab.conftest import Serve

from ec2zfs.lab.api.corrections.checksums import wrong_checksum
from ec2zfs.lab.api.crc64nvme import crc64nvme
from ec2zfs.lab.api.local import LocalEc2

BODY = b"The quick brown fox"
MIB = 1024**2


def coded(digest: bytes) -> str:
    return base64.b64encode(digest).decode()


RIGHT: dict[str, str] = {
    "ContentMD5": coded(hashlib.md5(BODY, usedforsecurity=False).digest()),
    "ChecksumSHA256": coded(hashlib.sha256(BODY).digest()),
    "ChecksumSHA1": coded(hashlib.sha1(BODY, usedforsecurity=False).digest()),
    "ChecksumCRC32": coded(zlib.crc32(BODY).to_bytes(4, "big")),
    "ChecksumCRC64NVME": coded(crc64nvme(BODY).to_bytes(8, "big")),
}


@pytest.fixture
def bucket(local: LocalEc2, s3: S3Client) -> str:
    s3.create_bucket(Bucket="bucket")
    return "bucket"


@pytest.mark.parametrize("name", RIGHT)
def test_a_true_checksum_passes(bucket: str, s3: S3Client, name: str) -> None:
    claim: Any = {name: RIGHT[name]}
    s3.put_object(Bucket=bucket, Key="object", Body=BODY, **claim)
    assert s3.get_object(Bucket=bucket, Key="object")["Body"].read() == BODY


@pytest.mark.parametrize("name", RIGHT)
def test_a_false_checksum_is_refused(bucket: str, s3: S3Client, name: str) -> None:
    claim: Any = {name: RIGHT[name]}
    with refused("BadDigest"):
        s3.put_object(Bucket=bucket, Key="object", Body=BODY + b"!", **claim)
    with pytest.raises(ClientError, match="404"):
        s3.head_object(Bucket=bucket, Key="object")


@pytest.mark.parametrize(("body", "code"), [(BODY, ""), (BODY + b"!", "BadDigest")])
def test_a_part_is_checked_too(bucket: str, s3: S3Client, body: bytes, code: str) -> None:
    upload = s3.create_multipart_upload(Bucket=bucket, Key="object", ChecksumAlgorithm="SHA256")["UploadId"]
    part: Any = {"Bucket": bucket, "Key": "object", "UploadId": upload, "PartNumber": 1}
    if code:
        with refused(code):
            s3.upload_part(Body=body, ChecksumSHA256=RIGHT["ChecksumSHA256"], **part)
    else:
        assert s3.upload_part(Body=body, ChecksumSHA256=RIGHT["ChecksumSHA256"], **part)["ETag"]


def test_an_md5_that_is_none_is_invalid(bucket: str, s3: S3Client) -> None:
    with refused("InvalidDigest"):
        s3.put_object(Bucket=bucket, Key="object", Body=BODY, ContentMD5="abc")


@pytest.mark.parametrize(("claim", "code"), [(RIGHT["ChecksumCRC32"], None), ("AAAAAA==", "BadDigest")])
def test_a_trailing_checksum_is_compared(claim: str, code: str | None) -> None:
    import io

    chunked = b"%x\r\n%s\r\n0\r\nx-amz-checksum-crc32:%s\r\n\r\n" % (len(BODY), BODY, claim.encode())
    environ = {
        "REQUEST_METHOD": "PUT",
        "CONTENT_LENGTH": str(len(chunked)),
        "HTTP_CONTENT_ENCODING": "aws-chunked",
        "HTTP_X_AMZ_TRAILER": "x-amz-checksum-crc32",
        "wsgi.input": io.BytesIO(chunked),
    }
    wrong = wrong_checksum(environ)
    assert (wrong.code if wrong else None) == code


# The first is the check value of the CRC catalogue (CRC-64/NVME of "123456789").
@pytest.mark.parametrize(("data", "crc"), [(b"123456789", 0xAE8B14860A799888), (b"", 0)])
def test_crc64nvme(data: bytes, crc: int) -> None:
    assert crc64nvme(data) == crc


def test_the_local_s3_says_when_it_is_full(serving: Serve, s3: S3Client) -> None:
    serving(object_bytes=2 * MIB)
    s3.create_bucket(Bucket="bucket")
    s3.put_object(Bucket="bucket", Key="a", Body=b"a" * MIB)
    with refused("LocalS3Full", "holds 1048576 bytes and at most 2097152"):
        s3.put_object(Bucket="bucket", Key="b", Body=b"b" * (MIB + 1))
    s3.delete_object(Bucket="bucket", Key="a")
    s3.put_object(Bucket="bucket", Key="b", Body=b"b" * (MIB + 1))
