# SPDX-License-Identifier: Apache-2.0
"""What people read is true: every command and every object of docs/ and README.md is run as it is
printed (doc_page.py says how), links lead somewhere, manual pages know every key and its default."""

import re
import shutil
import subprocess

import pytest
from doc_page import KINDS, Page, blocks_of, shows
from station import REPOSITORY

pytestmark = pytest.mark.same_everywhere

OF_STATION = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]
OF_MODULE = sorted((REPOSITORY / "docs/events").glob("*.md"))  # run by tests/module/test_docs_events.py
PAGES = [*OF_STATION, *OF_MODULE]
NAMES = [page.relative_to(REPOSITORY).as_posix() for page in PAGES]


@pytest.mark.parametrize("page", OF_STATION, ids=NAMES[:len(OF_STATION)])
def test_page_as_printed(page, new_station):
    station = new_station(config={"state": {"checkpoint_idle": 0.05}})
    Page(page, station).run()


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_block_says_what_it_is(page):
    wrong = [b.where for b in blocks_of(page) if b.kind not in KINDS]
    assert not wrong
    assert len(re.findall(r"^ *```", page.read_text(), re.M)) == 2 * len(blocks_of(page))


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_what_is_by_hand_needs_to_be(page):
    """A block that could be run is run."""
    for block in blocks_of(page):
        if block.kind == "sh" and "by-hand" in block.words:
            assert re.search(r"sudo|apt|pip install|git clone|packaging/|configure|systemctl|ssh|rsync|curl -N|-f\b|watch",
                             block.text), block.where


def anchors_of(page):
    heads = re.findall(r"^#+ (.+)$", page.read_text(), re.M)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if re.match(r"https?://", target):
            continue
        path, _, anchor = target.partition("#")
        to = (page.parent / path).resolve() if path else page
        assert to.exists(), (page.name, target)
        assert not anchor or anchor in anchors_of(to), (page.name, target)


def test_every_page_is_linked_and_installed():
    """From README.md, or the pages of docs/events from the first of them, which README.md links."""
    readme = (REPOSITORY / "README.md").read_text()
    readme += (REPOSITORY / "docs/events/concepts.md").read_text().replace("](", "](docs/events/")
    makefile = (REPOSITORY / "Makefile.am").read_text()
    for page in PAGES[1:]:
        name = page.relative_to(REPOSITORY).as_posix()
        assert f"]({name})" in readme, name
        assert f"\t{name}" in makefile, name


def test_output_is_compared():
    assert shows("a …\nb", "a 1\nb\n") and shows("…", "x\ny") and shows('{"a": 1}', '{"a": 1}\n\n')
    assert not shows("a", "b") and not shows("a …", "b 1") and not shows("a", "a\nb")


# --- manual pages ---


def config_keys():
    text = (REPOSITORY / "supervisor/config_keys.def").read_text()
    rows = re.findall(r'^(?:KEY|FIXED)\((\w+), (\w+), (\w+), \w+, (NULL|"[^"]*"), ([\d.]+),\s*([\d.]+)\)', text, re.M)
    assert len(rows) == len(re.findall(r"^(?:KEY|FIXED)\(", text, re.M))
    return rows


def number(text):
    """"16K" is 16384."""
    return float(text.rstrip("KMG")) * {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}.get(text[-1], 1)


@pytest.mark.parametrize("row", config_keys(), ids=lambda row: f"{row[0]}.{row[1]}")
def test_manual_knows_the_key_its_default_and_its_limits(row):
    section, name, kind, default, least, most = row
    manual = (REPOSITORY / "packaging/man/objectd.conf.5").read_text().replace("\\-", "-")
    sections = dict(re.findall(r"^\.SH (\w+)\n(.*?)(?=^\.SH )", manual, re.M | re.S))
    entries = dict(re.findall(r"^\.TP\n\.B (\w+)\n(.*?)(?=^\.TP|\Z)", sections[section], re.M | re.S))
    entry = entries[name]
    assert "Default:" in entry
    if default != "NULL":
        shown = default.strip('"') or "none"
        assert re.search(rf"Default:\s+{re.escape(shown)}\b", entry), entry
    span = re.search(r"; (?:up|([\d.]+[KMG]?)) to ([\d.]+[KMG]?)\.$", entry.strip())
    if span:
        assert (number(span.group(1) or "0"), number(span.group(2))) == (float(least), float(most))


def test_manual_has_no_key_that_is_gone():
    manual = (REPOSITORY / "packaging/man/objectd.conf.5").read_text()
    body = manual[manual.index("\n.SH station"):]
    documented = re.findall(r"^\.TP\n\.B (\w+)$", body, re.M)
    assert sorted(documented) == sorted(row[1] for row in config_keys())


def test_manual_names_the_keys_that_need_a_restart():
    table = (REPOSITORY / "supervisor/config_keys.def").read_text()
    fixed = {f"{section}.{key}" for section, key in re.findall(r"^FIXED\((\w+), (\w+),", table, re.M)}
    manual = (REPOSITORY / "packaging/man/objectd.conf.5").read_text()
    said = re.search(r"keep their value until the next start.*?:\n(\.BR .*?)\nWhat concerns", manual, re.S)
    assert set(re.findall(r"\w+\.\w+", said.group(1))) == fixed


@pytest.mark.skipif(not shutil.which("man"), reason="no man")
@pytest.mark.parametrize("page", ["objectd.8", "objectctl.1", "objectd.conf.5"])
def test_manual_page_is_well_formed(page):
    done = subprocess.run(["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z",
                           str(REPOSITORY / "packaging/man" / page)],
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and not done.stderr, done.stderr


def test_every_option_of_the_daemon_is_in_its_manual():
    manual = (REPOSITORY / "packaging/man/objectd.8").read_text().replace("\\-", "-")
    options = re.findall(r'\{"([a-z-]+)", (?:no|required)_argument',
                         (REPOSITORY / "supervisor/options.c").read_text())
    assert len(options) >= 9
    for option in options:
        assert f"--{option}" in manual, option
