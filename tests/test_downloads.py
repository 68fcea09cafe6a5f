"""Data files: found, fetched and never trusted without their checksums."""

import hashlib
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from labkit.progress import Progress
from labkit.tasks import downloads, omniglot
from labkit.tasks.downloads import (
    DamagedData,
    DataFile,
    MissingData,
)

CONTENT = bytes(range(256)) * 1024
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Server(BaseHTTPRequestHandler):
    """/whole sends the file, /short breaks off, /other sends another one."""

    def do_GET(self):
        if self.path == "/gone":
            self.send_error(404)
            return
        body = CONTENT[::-1] if self.path == "/other" else CONTENT
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[:100_000] if self.path == "/short" else body)

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture(scope="module")
def address():
    with ThreadingHTTPServer(("127.0.0.1", 0), Server) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def file(url, **checksums):
    return DataFile("omniglot", "a.zip", url, checksums or {"sha256": SHA256})


def test_a_download_has_its_name_only_when_it_is_right(address, tmp_path):
    folder = tmp_path / "not" / "yet"
    path = downloads.fetch(file(f"{address}/whole"), folder)
    assert path.read_bytes() == CONTENT
    assert list(folder.iterdir()) == [path]


def test_a_file_that_is_there_is_checked_and_not_fetched_again(tmp_path):
    unreachable = file("http://127.0.0.1:9/a.zip")
    (tmp_path / "a.zip").write_bytes(CONTENT)
    assert downloads.fetch(unreachable, tmp_path) == tmp_path / "a.zip"
    (tmp_path / "a.zip").write_bytes(CONTENT[:-1])
    with pytest.raises(DamagedData, match="Delete"):
        downloads.fetch(unreachable, tmp_path)


@pytest.mark.parametrize("path", ["short", "other"])
def test_a_wrong_download_is_named_and_not_kept(address, tmp_path, path):
    with pytest.raises(DamagedData) as error:
        downloads.fetch(file(f"{address}/{path}"), tmp_path)
    body = CONTENT[:100_000] if path == "short" else CONTENT[::-1]
    assert SHA256 in str(error.value)
    assert hashlib.sha256(body).hexdigest() in str(error.value)
    assert f"{len(body):,} bytes" in str(error.value)
    assert "was not kept" in str(error.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("url", ["{address}/gone", "file://{folder}/none.zip"])
def test_an_address_that_does_not_answer_is_named(address, tmp_path, url):
    url = url.format(address=address, folder=tmp_path)
    with pytest.raises(MissingData, match=r"could not be fetched .* put it into") as e:
        downloads.fetch(file(url), tmp_path)
    assert url in str(e.value)
    assert not list(tmp_path.iterdir())


def test_ctrl_c_leaves_nothing_behind(address, tmp_path, monkeypatch):
    def interrupted(self, done, note=""):
        raise KeyboardInterrupt

    monkeypatch.setattr(Progress, "__call__", interrupted)
    with pytest.raises(KeyboardInterrupt):
        downloads.fetch(file(f"{address}/whole"), tmp_path)
    assert not list(tmp_path.iterdir())


def test_progress_runs_to_the_size_that_the_server_announced(
    address, tmp_path, monkeypatch
):
    seen = []
    monkeypatch.setattr(
        Progress,
        "__call__",
        lambda self, done: seen.append((done, self.total)),
    )
    downloads.fetch(file(f"{address}/whole"), tmp_path)
    assert seen == sorted(seen) and len(seen) > 1
    assert seen[-1] == (len(CONTENT), len(CONTENT))


def test_every_checksum_must_hold(tmp_path):
    (tmp_path / "a.zip").write_bytes(CONTENT)
    md5 = hashlib.md5(CONTENT).hexdigest()
    assert downloads.locate(file("", sha256=SHA256, md5=md5), tmp_path)
    with pytest.raises(DamagedData, match=f"md5 should be 00 and is {md5}"):
        downloads.locate(file("", sha256=SHA256, md5="00"), tmp_path)


def test_a_git_blob_is_what_git_says(tmp_path):
    path = tmp_path / "a.zip"
    path.write_bytes(CONTENT)
    git = subprocess.run(
        ["git", "hash-object", "--no-filters", path], capture_output=True, check=True
    )
    assert downloads.digest(CONTENT, "git_blob") == git.stdout.decode().strip()


def test_a_missing_file_says_how_to_get_it(tmp_path):
    with pytest.raises(MissingData) as error:
        downloads.locate(file(""), tmp_path)
    for word in (str(tmp_path), "python -m labkit data omniglot", "LABKIT_DATA"):
        assert word in str(error.value)


def test_a_folder_is_the_one_asked_for_else_the_named_one_else_ours(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("LABKIT_DATA", str(tmp_path / "named"))
    assert file("").path(tmp_path) == tmp_path / "a.zip"
    assert file("").path() == tmp_path / "named" / "a.zip"
    with pytest.raises(MissingData, match="named is not a folder that is there"):
        downloads.locate(file(""))
    monkeypatch.setenv("LABKIT_DATA", "~/named")
    assert file("").path() == Path.home() / "named" / "a.zip"
    monkeypatch.delenv("LABKIT_DATA")
    assert file("").path().parts[-3:] == ("data", "omniglot", "a.zip")


def test_the_readme_of_the_data_names_every_file_with_its_checksums():
    readme = (Path(__file__).parents[1] / "data" / "README.md").read_text()
    for part, published in omniglot.FILES.items():
        assert omniglot.CONTENT.get(part, "") in readme
        (row,) = [row for row in readme.splitlines() if row.startswith(f"| `{part}`")]
        assert published.name in row
        for kind, value in published.checksums.items():
            assert f"{kind.replace('_', ' ')} `{value}`" in row


def test_two_downloads_at_once_do_not_disturb_each_other(address, tmp_path):
    with ThreadPoolExecutor(4) as pool:
        paths = list(
            pool.map(
                lambda _: downloads.fetch(file(f"{address}/whole"), tmp_path), "abcd"
            )
        )
    assert set(paths) == {tmp_path / "a.zip"} == set(tmp_path.iterdir())
    assert paths[0].read_bytes() == CONTENT


def test_a_download_without_end_is_cut_off(address, tmp_path, monkeypatch):
    monkeypatch.setattr(downloads, "MOST_BYTES", 1000)
    with pytest.raises(DamagedData, match=r"has more than 1,000 bytes.*was not kept"):
        downloads.fetch(file(f"{address}/whole"), tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_made_is_named_before_anything_is_fetched(tmp_path):
    (tmp_path / "taken").write_text("no folder")
    unreachable = file("http://127.0.0.1:9/a.zip")
    with pytest.raises(MissingData, match=r"taken/data cannot be made.*LABKIT_DATA"):
        downloads.fetch(unreachable, tmp_path / "taken" / "data")


def test_what_is_unpacked_is_found_after_the_archive_in_either_place(tmp_path):
    data = DataFile("omniglot", "a.zip", "", {"sha256": SHA256}, ("theirs",))
    with pytest.raises(MissingData, match=r"a.zip is not in"):
        downloads.find(data, tmp_path)
    for place in ("theirs/a", "theirs/a.zip", "a", "a.zip"):
        path = tmp_path / place
        if path.suffix:
            path.write_bytes(CONTENT)
        else:
            path.mkdir(parents=True)
        assert downloads.find(data, tmp_path) == path


@pytest.mark.parametrize(
    ("name", "checksums", "message"),
    [
        ("../a.zip", {"sha256": SHA256}, "that of a file, not a path"),
        ("a.zip", {}, r"at least one checksum.*given \[\]"),
        ("a.zip", {"crc32": "0"}, r"sha256, md5, git_blob.*given \['crc32'\]"),
    ],
)
def test_a_file_that_could_not_be_trusted_is_not_described(name, checksums, message):
    with pytest.raises(ValueError, match=message):
        DataFile("omniglot", name, "", checksums)
