from __future__ import annotations

from hume_runner.planning.staged import FileDigest
from hume_runner.state.store import Store


def test_a_file_s_digest_is_known_while_it_looks_the_same(store: Store) -> None:
    assert store.digest("/a", 1, 2, 3) is None
    with store._transaction("test") as db:
        db.execute("INSERT INTO digests (path, size, mtime_ns, inode, sha256) VALUES ('/a', 1, 2, 3, x'aa')")
    assert store.digest("/a", 1, 2, 3) == FileDigest(sha256=b"\xaa")
    for changed in (("/b", 1, 2, 3), ("/a", 9, 2, 3), ("/a", 1, 9, 3), ("/a", 1, 2, 9)):
        assert store.digest(*changed) is None
