#!/usr/bin/env python3
"""Writes chain.json: logs of the format fed-audit-chain/1, valid, torn and tampered with.

A second implementation of the format from its description alone, with nothing but the standard library. Run it in this
folder; the output is always the same.
"""

import hashlib
import hmac
import json
import struct

KEY = bytes(range(32))
OTHER_KEY = bytes(range(1, 33))
RECORDS = [b"", b"a", b'{"call":"pc2/notes","decision":"allow"}', bytes(range(48)), "π".encode(), b"\x00" * 40, b"end"]
SEGMENT_BYTES = 200


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ 0x82F63B78 if crc & 1 else crc >> 1
    return crc ^ 0xFFFFFFFF


def mac(key, data):
    return hmac.new(key, data, hashlib.sha256).digest()


def genesis(key=KEY):
    return mac(key, b"fed-audit-chain/1")


def tag_of(previous, seq, data, epoch=0, key=KEY):
    return mac(key, previous + struct.pack(">QII", seq, epoch, len(data)) + data)


def record(seq, data, tag, epoch=0, length=None):
    length = len(data) if length is None else length
    crc = crc32c(struct.pack(">IQI", length, seq, epoch))
    return struct.pack(">IIQI", length, crc, seq, epoch) + data + tag


def header(first_seq, previous, magic=b"fedaudit", version=1):
    return magic + struct.pack(">IQ", version, first_seq) + previous


def name(first_seq):
    return f"{first_seq:020d}.seg"


def write(records, segment_bytes=SEGMENT_BYTES, key=KEY):
    """The segments, the tags, and where each record stands: (segment name, offset)."""
    segments, tags, places = {}, [], []
    tag, current = genesis(key), None
    for seq, data in enumerate(records, 1):
        size = 20 + len(data) + 32
        if current is None or (len(segments[current]) > 52 and len(segments[current]) + size > segment_bytes):
            current = name(seq)
            segments[current] = header(seq, tag)
        tag = tag_of(tag, seq, data, key=key)
        tags.append(tag)
        places.append((current, len(segments[current])))
        segments[current] += record(seq, data, tag)
    return segments, tags, places


def hexed(segments):
    return [{"name": n, "bytes": b.hex()} for n, b in sorted(segments.items())]


def valid(title, records, segment_bytes):
    segments, tags, _ = write(records, segment_bytes)
    return {
        "name": title,
        "key": KEY.hex(),
        "segmentBytes": segment_bytes,
        "records": [r.hex() for r in records],
        "genesis": genesis().hex(),
        "tags": [t.hex() for t in tags],
        "segments": [
            {"name": n, "bytes": b.hex(), "sha256": hashlib.sha256(b).hexdigest()} for n, b in sorted(segments.items())
        ],
    }


SEGMENTS, TAGS, PLACES = write(RECORDS)
NAMES = sorted(SEGMENTS)
LAST = NAMES[-1]
torn, invalid = [], []


def torn_case(title, segments, records, torn_bytes):
    torn.append(
        {"name": title, "key": KEY.hex(), "segments": hexed(segments), "records": records, "tornBytes": torn_bytes}
    )


def invalid_case(title, segments, seq, code="AUDIT_TAMPERED", key=KEY, head=None):
    case = {"name": title, "key": key.hex(), "segments": hexed(segments), "code": code, "seq": seq}
    if head:
        case["expectedHead"] = {"seq": head[0], "tag": head[1].hex()}
    invalid.append(case)


def changed(segment, offset, data, whole=False):
    """SEGMENTS with `data` over what stands at `offset`; `whole` drops the rest of the segment."""
    before = SEGMENTS[segment]
    after = before[:offset] + data + (b"" if whole else before[offset + len(data) :])
    return {**SEGMENTS, segment: after}


def without(*names):
    return {n: b for n, b in SEGMENTS.items() if n not in names}


def flipped(segment, offset):
    return changed(segment, offset, bytes([SEGMENTS[segment][offset] ^ 1]))


# What a crash can leave: only ever at the end of the last segment.
last_segment, last_offset = PLACES[-1]
assert last_segment == LAST and len(RECORDS) == 7
size = len(SEGMENTS[LAST]) - last_offset
for cut, title in [(1, "one byte of the last record"), (19, "all but a byte of its header"), (20, "its header only"),
                   (22, "part of its bytes"), (size - 1, "all but its last byte")]:
    torn_case(title, changed(LAST, last_offset, SEGMENTS[LAST][last_offset : last_offset + cut], True), 6, cut)
torn_case("zeros instead of the last record", changed(LAST, last_offset, bytes(size), True), 6, size)
torn_case("zeros for a block after the last record", {**SEGMENTS, LAST: SEGMENTS[LAST] + bytes(4096)}, 7, 4096)
torn_case("zeros after part of the last record", changed(LAST, last_offset + 21, bytes(size - 21)), 6, size)
fresh = header(8, TAGS[-1])
torn_case("an empty new segment", {**SEGMENTS, name(8): b""}, 7, 0)
torn_case("a new segment with its header only", {**SEGMENTS, name(8): fresh}, 7, 0)
torn_case("a new segment with part of its header", {**SEGMENTS, name(8): fresh[:30]}, 7, 30)
torn_case("a new segment of zeros", {**SEGMENTS, name(8): bytes(64)}, 7, 64)
torn_case("an empty log with part of a header", {name(1): header(1, genesis())[:51]}, 0, 51)

# Everything else is tampering.
first = NAMES[0]
seq_of = {n: int(n[:20]) for n in NAMES}
invalid_case("the key of another log", SEGMENTS, 1, key=OTHER_KEY)
invalid_case("another magic", changed(first, 0, b"fedaudix"), 1)
invalid_case("another version", changed(first, 8, struct.pack(">I", 2)), 1)
invalid_case("another first number in the first header", changed(first, 12, struct.pack(">Q", 2)), 1)
invalid_case("another previous tag in the first header", flipped(first, 20), 1)
invalid_case("another previous tag in a later header", flipped(NAMES[1], 51), seq_of[NAMES[1]])
for i, place in [(1, "the first record"), (2, "a later record"), (6, "the last record")]:
    segment, offset = PLACES[i]
    invalid_case(f"{place}: a changed byte", flipped(segment, offset + 20), i + 1)
    invalid_case(f"{place}: a changed tag", flipped(segment, offset + 20 + len(RECORDS[i])), i + 1)
    invalid_case(f"{place}: a changed checksum", flipped(segment, offset + 7), i + 1)
    invalid_case(f"{place}: a changed number", flipped(segment, offset + 15), i + 1)
    invalid_case(f"{place}: a changed epoch", flipped(segment, offset + 19), i + 1)
    invalid_case(f"{place}: a length that reaches past the end", flipped(segment, offset + 2), i + 1)
    other = struct.pack(">I", len(RECORDS[i]) - 1)
    fixed = other + struct.pack(">I", crc32c(other + struct.pack(">QI", i + 1, 0)))
    invalid_case(f"{place}: a shorter length under a right checksum", changed(segment, offset, fixed), i + 1)
segment, offset = PLACES[-1]
epoch_one = record(7, RECORDS[6], tag_of(TAGS[5], 7, RECORDS[6], epoch=1), epoch=1)
invalid_case("an epoch that has not begun, rightly tagged", changed(segment, offset, epoch_one), 7)
invalid_case("a header that announces more than 64 KiB", changed(segment, offset, record(7, b"", TAGS[6], length=65537), True), 7)
invalid_case("a record under another key", changed(segment, offset, record(7, b"end", tag_of(TAGS[5], 7, b"end", key=OTHER_KEY))), 7)
a, b = PLACES[0], PLACES[1]
assert a[0] == b[0] == first
one, two = SEGMENTS[first][a[1] : b[1]], SEGMENTS[first][b[1] :][: 20 + len(RECORDS[1]) + 32]
rest = SEGMENTS[first][a[1] + len(one) + len(two) :]
invalid_case("a record taken out", {**SEGMENTS, first: SEGMENTS[first][: a[1]] + two + rest}, 1)
invalid_case("two records exchanged", {**SEGMENTS, first: SEGMENTS[first][: a[1]] + two + one + rest}, 1)
invalid_case("a record repeated", {**SEGMENTS, first: SEGMENTS[first][: a[1]] + one + one + two + rest}, 2)
invalid_case("the first segment missing", without(first), 1)
invalid_case("a middle segment missing", without(NAMES[1]), seq_of[NAMES[1]])
invalid_case("an earlier segment without its last record", changed(a[0], b[1], b"", True), 2)
invalid_case("an earlier segment that ends in part of a record", changed(a[0], b[1] + 30, b"", True), 2)
invalid_case("an earlier segment that is empty", {**SEGMENTS, NAMES[1]: b""}, seq_of[NAMES[1]])
invalid_case("bytes after an earlier segment", {**SEGMENTS, first: SEGMENTS[first] + b"\x01"}, seq_of[NAMES[1]])
invalid_case("bytes after the last record that begin no record", {**SEGMENTS, LAST: SEGMENTS[LAST] + b"\x01" * 40}, 8)
invalid_case("bytes after a bad record", {**SEGMENTS, LAST: flipped(segment, offset + 20)[LAST] + b"\x00\x00"}, 7)
renamed = without(LAST)
renamed[name(seq_of[LAST] + 1)] = SEGMENTS[LAST]
invalid_case("a segment under another name", renamed, seq_of[LAST])
foreign, _, _ = write([b"x", b"y"], key=OTHER_KEY)
invalid_case("a new segment that is another log's", {**SEGMENTS, name(8): foreign[name(1)]}, 8)
invalid_case("cut at the end of a record", changed(LAST, last_offset, b"", True), 7, "AUDIT_TRUNCATED", head=(7, TAGS[6]))
invalid_case("torn before the expected head", changed(LAST, last_offset + 9, b"", True), 7, "AUDIT_TRUNCATED", head=(7, TAGS[6]))
invalid_case("the last segment missing", without(LAST), seq_of[LAST], "AUDIT_TRUNCATED", head=(7, TAGS[6]))
invalid_case("everything missing", {}, 1, "AUDIT_TRUNCATED", head=(7, TAGS[6]))
invalid_case("another history under the same key", write([b"other"] * 7)[0], 7, head=(7, TAGS[6]))

json.dump(
    {
        "format": "fed-audit-chain/1",
        "notes": [
            "All bytes are lower-case hex. `valid`: writing `records` under `key` gives exactly `tags` and `segments`.",
            "`torn`: what a crash can leave; `records` whole ones, then `tornBytes` to be cut off.",
            "`invalid`: verifying fails with `code`, naming record `seq`.",
        ],
        "valid": [valid("no records", [], SEGMENT_BYTES), valid("one segment", RECORDS, 16 * 1024 * 1024), valid("several segments", RECORDS, SEGMENT_BYTES)],
        "torn": torn,
        "invalid": invalid,
    },
    open("chain.json", "w", encoding="utf-8"),
    indent=1,
    ensure_ascii=False,
)
open("chain.json", "a", encoding="utf-8").write("\n")
print(len(torn), "torn,", len(invalid), "invalid")
