#!/usr/bin/env python3
"""Fills a bucket: fill_bucket.py ENDPOINT BUCKET [demo|L|M|S]

demo: about 3,000 objects of mixed sizes, some larger ones, one of 256 MiB in parts, and keys that a file system finds
awkward.
L, M, S: the sets of scripts/bench: 4 x 512 MiB, 64 x 16 MiB, 20,000 x 16 KiB.
Names, sizes and bytes follow from a seed, so every run carries the same data. Needs boto3; the credentials come from
AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.
"""

import concurrent.futures
import random
import sys
import unicodedata

import boto3
import botocore.config

SEED = 20261001
KIB, MIB = 1024, 1024 * 1024
THREADS = 12
PART_BYTES = 16 * MIB
# From this size on an object is uploaded in parts.
MULTIPART_BYTES = 64 * MIB
BENCH_SETS = {"L": (4, 512 * MIB), "M": (64, 16 * MIB), "S": (20_000, 16 * KIB)}

# What SeaweedFS keeps faithfully. It turns a backslash into a slash, refuses a segment over 255 bytes and drops the
# body of a key that ends with a slash, so those three are not here.
AWKWARD_KEYS = [
    "Readme",
    "README",
    "readme",
    "archive",
    "archive/2026/file",
    "folder/marker/",
    "with space/ leading and trailing ",
    "ends with a dot.",
    ".hidden",
    "...",
    "-rf",
    "plus+plus",
    "percent%2Fslash",
    "percent%20space",
    "100%",
    "quote'single",
    'quote"double',
    "ampersand&angle<brackets>",
    "colon:star*question?pipe|",
    "$dollar`tick#hash;semicolon",
    "comma,equals=at@",
    "CON",
    unicodedata.normalize("NFC", "composed/café"),
    unicodedata.normalize("NFD", "composed/café"),
    "日本語/資料.txt",
    "rocket/🚀.bin",
    "zero\u200bwidth",
    "right\u202eto-left",
    "tab\tin the name",
    "new\nline",
    "long/" + "x" * 200,
    "long/" + "ü" * 120,
    "deep/" + "d/" * 60 + "leaf",
]


def main(endpoint, bucket, what="demo"):
    client = boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name="us-east-1",
        config=botocore.config.Config(s3={"addressing_style": "path"}, max_pool_connections=THREADS),
    )
    client.create_bucket(Bucket=bucket)
    objects = list(demo_objects() if what == "demo" else bench_objects(*BENCH_SETS[what]))
    with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
        whole = [pool.submit(put, client, bucket, key, size) for key, size in objects if size < MULTIPART_BYTES]
        for key, size in objects:
            if size >= MULTIPART_BYTES:
                put_in_parts(pool, client, bucket, key, size)
        for done in whole:
            done.result()
    total = sum(size for _, size in objects)
    print(f"The bucket {bucket} holds {len(objects)} objects, {total / MIB:.0f} MiB.")


def bench_objects(count, size):
    for number in range(count):
        yield f"{number % 100:02}/object-{number:05}", size


def demo_objects():
    """The (key, size) of each."""
    yield "backups/disk-image.raw", 256 * MIB
    sizes = random.Random(SEED)
    for number in range(2950):
        size = 0 if number % 100 == 0 else min(MIB, int(sizes.lognormvariate(9.6, 1.6)))
        yield f"invoices/{2020 + number % 7}/{number % 12 + 1:02}/invoice-{number:05}.pdf", size
    yield "sizes/exactly-1-MiB", MIB
    for number, mebibytes in enumerate([5, 8, 13, 16, 17, 24, 40]):
        yield f"video/clip-{number}.mp4", mebibytes * MIB + number
    for key in AWKWARD_KEYS:
        yield key, 0 if key.endswith("/") else 64 + len(key)


def put(client, bucket, key, size):
    client.put_object(
        Bucket=bucket,
        Key=key,
        Body=content(key, size),
        ContentType="application/pdf" if key.endswith(".pdf") else "application/octet-stream",
        Metadata={"origin": "demo"},
    )


def put_in_parts(pool, client, bucket, key, size):
    upload = client.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]

    def put_part(number):
        body = content(f"{key} {number}", min(PART_BYTES, size - (number - 1) * PART_BYTES))
        stored = client.upload_part(Bucket=bucket, Key=key, UploadId=upload, PartNumber=number, Body=body)
        return {name: stored[name] for name in ("ETag", "ChecksumCRC32") if name in stored} | {"PartNumber": number}

    parts = list(pool.map(put_part, range(1, -(-size // PART_BYTES) + 1)))
    client.complete_multipart_upload(Bucket=bucket, Key=key, UploadId=upload, MultipartUpload={"Parts": parts})


def content(name, size):
    return random.Random(f"{SEED} {name}").randbytes(size)


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    try:
        main(*sys.argv[1:])
    except KeyboardInterrupt:
        sys.exit(130)
