"""Restores one file from the archive of an environment: restore.py ARCHIVE REPOSITORY PATH > FILE

Written by what README.md in the archive says, and with nothing of Varve's.
"""

import hashlib
import re
import sqlite3
import struct
import sys
import tarfile
import tempfile
import zlib

archive = tarfile.open(sys.argv[1])
repository, wanted = sys.argv[2], sys.argv[3]


def member(path):
    return archive.extractfile(path).read()


def stored(digits, letter):
    content = member(f"repositories/{repository}/data/{digits[:2]}/{digits[2:]}{letter}")
    assert hashlib.sha1(content).hexdigest() == digits, "damaged"
    return content


class Connection(sqlite3.Connection):
    """Keeps the file that it reads."""


def connect(digits):
    file = tempfile.NamedTemporaryFile()
    file.write(zlib.decompress(stored(digits, "C")))
    file.flush()
    database = sqlite3.connect(file.name, factory=Connection)
    database.file = file
    return database


def root():
    document = member("environment.toml").decode()
    for part in re.split(r"^\[", document, flags=re.M)[1:]:
        if f'repository = "{repository}"' in part:
            return re.search(r'^root = "([0-9a-f]{40})"', part, flags=re.M).group(1)
    sys.exit(f"{repository} is no part of the environment")


def find(database, key):
    row = "SELECT hash, flags, size FROM catalog WHERE md5path_1 = ? AND md5path_2 = ?"
    found = database.execute(row, key).fetchone()
    if found:
        return database, found
    nested = database.execute("SELECT path, sha1 FROM nested_catalogs").fetchall()
    nested = [entry for entry in nested if wanted.startswith(entry[0] + "/")]
    if not nested:
        sys.exit(f"there is no {wanted}")
    return find(connect(max(nested)[1]), key)


def plain(content, flags):
    compression = flags >> 11 & 7
    assert compression in (0, 1), "compressed with zstd"
    return zlib.decompress(content) if compression == 0 else content


key = struct.unpack("<qq", hashlib.md5(wanted.encode()).digest())
database, (digest, flags, size) = find(connect(root()), key)
if flags & 64:
    parts = "SELECT hash FROM chunks WHERE md5path_1 = ? AND md5path_2 = ? ORDER BY offset"
    content = b"".join(plain(stored(part.hex(), "P"), flags) for (part,) in database.execute(parts, key))
else:
    content = plain(stored(digest.hex(), ""), flags)
assert len(content) == size, "not whole"
sys.stdout.buffer.write(content)
