# SPDX-License-Identifier: Apache-2.0
"""Virtual environments: the station's, an object's own, and what a missing package is told."""

import re
import shutil
import subprocess
import time
import zipfile
from pathlib import Path

import pytest
from station import LONG, config_text, run_daemon, wait_until

FACTS = """
import multiprocessing, subprocess, sys
{imports}
def GET(request):
    child = subprocess.run([sys.executable, "-c", "import sys; print(sys.prefix)"],
                           capture_output=True, text=True)
    tool = subprocess.run(["python3", "-c", "import sys; print(sys.prefix)"],
                          capture_output=True, text=True)
    return {{"prefix": sys.prefix, "executable": sys.executable, "path": sys.path,
             "child": child.stdout.strip(), "tool": tool.stdout.strip(), "value": {value}}}
"""


def facts(imports="", value="None"):
    return FACTS.format(imports=imports, value=value)


def python_of_workers():
    """The program of the Python that the workers embed, as an error about another one names it."""
    done = run_daemon("/tmp", "--check", env={"OBJECTD_WORKERS_VENV": "/nowhere"})
    return re.search(r"with: (\S+) -m venv", done.stderr).group(1)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A virtual environment without pip; to be copied."""
    folder = tmp_path_factory.mktemp("made") / "venv"
    done = subprocess.run([python_of_workers(), "-m", "venv", "--without-pip", str(folder)],
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder


class Venv:
    def __init__(self, folder, made):
        shutil.copytree(made, folder, symlinks=True)
        self.folder = Path(folder)
        self.packages = next(self.folder.glob("lib/python3*/site-packages"))

    def install(self, name, text):
        (self.packages / name).mkdir()
        (self.packages / name / "__init__.py").write_text(text)

    def set(self, key, value):
        cfg = self.folder / "pyvenv.cfg"
        cfg.write_text(re.sub(rf"(?m)^{key} = .*$", f"{key} = {value}", cfg.read_text()))


@pytest.fixture
def new_venv(made):
    return lambda folder: Venv(folder, made)


def check_facts(found, venv, value):
    assert found["prefix"] == found["child"] == found["tool"] == str(venv.folder), found
    assert found["executable"] == f"{venv.folder}/bin/python3"
    assert found["value"] == value


# --- the station's ---

def test_of_the_station(new_station, new_venv, tmp_path):
    venv = new_venv(tmp_path / "env")
    venv.install("parcel", "VALUE = 'from the station'\n")
    (tmp_path / "beside").mkdir()
    (tmp_path / "beside" / "along.py").write_text("VALUE = 7\n")
    (venv.packages / "more.pth").write_text(f"{tmp_path / 'beside'}\n")
    station = new_station(config={"workers": {"venv": venv.folder}}).start()
    station.deploy("a.py", facts("import along, parcel", "[parcel.VALUE, along.VALUE]"))
    found = station.get("/objects/a").json()
    check_facts(found, venv, ["from the station", 7])
    outside = [p for p in found["path"] if "dist-packages" in p]
    assert not outside  # without include-system-site-packages the system's are not seen
    assert found["path"].index(str(station.objects)) < found["path"].index(str(venv.packages))


def test_the_systems_packages_too(new_station, new_venv, tmp_path):
    venv = new_venv(tmp_path / "env")
    venv.set("include-system-site-packages", "true")
    station = new_station(config={"workers": {"venv": venv.folder}}).start()
    station.deploy("a.py", facts())
    path = station.get("/objects/a").json()["path"]
    system = [i for i, p in enumerate(path) if "dist-packages" in p]
    assert not system or path.index(str(venv.packages)) < system[0]
    assert system or not python_of_workers().startswith("/usr/bin/")


@pytest.mark.parametrize("damage,told", [
    (lambda v: shutil.rmtree(v.folder), "is no folder"),
    (lambda v: (v.folder / "pyvenv.cfg").unlink(), "is no virtual environment"),
    (lambda v: v.set("version", "3.4.1"), "of Python 3.4, and the workers of this station run Python"),
    (lambda v: shutil.rmtree(v.packages), "site-packages is missing"),
    (lambda v: (v.folder / "bin/python3").unlink(), "bin/python3 is missing"),
], ids=["missing", "no venv", "version", "packages", "python"])
def test_a_bad_one_is_an_error_of_the_configuration(new_venv, tmp_path, damage, told):
    venv = new_venv(tmp_path / "env")
    damage(venv)
    conf = tmp_path / "objectd.conf"
    conf.write_text(f'workers {{\n    venv = "{venv.folder}"\n}}\n')
    done = run_daemon(tmp_path, "--config", conf, "--check", "--objects", tmp_path)
    assert done.returncode == 78
    assert told in done.stderr and str(venv.folder) in done.stderr
    assert f"{conf}:2" in done.stderr
    assert f"{python_of_workers()} -m venv" in done.stderr  # the way out


def write_config(station, **workers):
    (station.folder / "objectd.conf").write_text(config_text({**station.config, "workers": workers}))


def test_a_reload_changes_to_another(new_station, new_venv, tmp_path):
    first, second, broken = (new_venv(tmp_path / name) for name in ("first", "second", "broken"))
    first.install("parcel", "VALUE = 1\n")
    second.install("parcel", "VALUE = 2\n")
    broken.set("version", "3.4.1")
    station = new_station(config={"workers": {"venv": first.folder}}).start()
    station.deploy("a.py", facts("import parcel", "parcel.VALUE"))
    check_facts(station.get("/objects/a").json(), first, 1)
    write_config(station, venv=second.folder)
    assert [c["key"] for c in station.post("/reload").json()["changed"]] == ["workers.venv"]
    check_facts(station.get("/objects/a").json(), second, 2)
    station.allow("reload refused")
    write_config(station, venv=broken.folder)
    reply = station.post("/reload")
    assert reply.status == 422 and "of Python 3.4" in reply.json()["error"], reply
    check_facts(station.get("/objects/a").json(), second, 2)


def test_a_reload_tries_again_what_lacked_a_package(new_station, new_venv, tmp_path):
    venv = new_venv(tmp_path / "env")
    station = new_station(config={"workers": {"venv": venv.folder}}).start()
    station.deploy("a.py", facts(value="1"))
    assert station.get("/objects/a").json()["value"] == 1
    station.allow("does not load")
    station.put("a.py", facts("import parcel", "parcel.VALUE"))
    wait_until(lambda: station.get("/objects/a?metadata=true").json()["metadata"].get("load_error"))
    venv.install("parcel", "VALUE = 2\n")  # nobody watches a folder outside the objects folder
    assert station.get("/objects/a").json()["value"] == 1
    station.post("/reload")
    assert station.get("/objects/a").json()["value"] == 2


# --- an object's ---

def test_the_nearest_one(station, new_venv):
    top = new_venv(station.objects / "venv")
    near = new_venv(station.objects / "shop/venv")
    top.install("parcel", "VALUE = 'top'\n")
    near.install("parcel", "VALUE = 'near'\n")
    for name in ("a.py", "other/b.py", "shop/c.py", "shop/deep/d.py"):
        station.deploy(name, facts("import parcel", "parcel.VALUE"))
    for object_id, venv, value in (("a", top, "top"), ("other_b", top, "top"),
                                   ("shop_c", near, "near"), ("shop_deep_d", near, "near")):
        check_facts(station.get(f"/objects/{object_id}").json(), venv, value)


def test_it_takes_the_place_of_the_stations(new_station, new_venv, tmp_path):
    theirs = new_venv(tmp_path / "env")
    theirs.install("theirs", "VALUE = 1\n")
    station = new_station(config={"workers": {"venv": theirs.folder}})
    own = new_venv(station.objects / "own/venv")
    own.install("mine", "VALUE = 2\n")
    station.start()
    missing = "try:\n    import theirs\nexcept ImportError:\n    theirs = None\nimport mine"
    station.deploy("own/a.py", facts(missing, "[theirs is None, mine.VALUE]"))
    station.deploy("b.py", facts("import theirs", "theirs.VALUE"))
    check_facts(station.get("/objects/own_a").json(), own, [True, 2])
    check_facts(station.get("/objects/b").json(), theirs, 1)


def test_with_the_systems_packages(station, new_venv):
    venv = new_venv(station.objects / "venv")
    station.deploy("a.py", facts())
    alone = station.get("/objects/a").json()["path"]
    venv.set("include-system-site-packages", "true")
    station.deploy("b.py", facts())
    both = station.get("/objects/b").json()["path"]
    assert [p for p in both if p in alone] == alone
    assert all("dist-packages" in p for p in both if p not in alone)
    assert not [p for p in alone if "dist-packages" in p]


def test_a_pool_of_processes_uses_it(station, new_venv):
    venv = new_venv(station.objects / "venv")
    venv.install("parcel", "import sys\ndef where(n):\n    return [n, sys.prefix]\n")
    station.deploy("a.py", "import multiprocessing, parcel\n"
                           "def GET(request):\n"
                           "    with multiprocessing.get_context('spawn').Pool(1) as pool:\n"
                           "        return pool.map(parcel.where, [1])\n")
    assert station.get("/objects/a").json() == [[1, str(venv.folder)]]


@pytest.mark.parametrize("damage,told", [
    (lambda v: (v.folder / "pyvenv.cfg").unlink(), "is no virtual environment"),
    (lambda v: v.set("version", "3.4.1"), "of Python 3.4, and the workers of this station run Python"),
    (lambda v: (v.folder / "bin/python3").unlink(), "bin/python3 is missing"),
], ids=["no venv", "version", "python"])
def test_a_bad_one_is_an_error_of_the_deploy(shared, new_venv, damage, told):
    folder = f"bad{time.monotonic_ns()}"
    venv = new_venv(shared.objects / folder / "venv")
    damage(venv)
    shared.allow("does not load")
    shared.put(f"{folder}/a.py", facts())
    object_id = f"{folder}_a"
    wait_until(lambda: object_id in shared.object_ids())
    reply = shared.get(f"/objects/{object_id}")
    assert reply.status == 500 and told in reply.json()["error"], reply
    assert f"{python_of_workers()} -m venv" in reply.json()["error"]
    shutil.rmtree(shared.objects / folder)
    wait_until(lambda: object_id not in shared.object_ids())


# --- it is no folder of objects ---

def watches(station):
    count = 0
    for info in Path(f"/proc/{station.pid}/fdinfo").iterdir():
        try:
            count += info.read_text().count("inotify wd:")
        except OSError:
            pass
    return count


def test_it_is_neither_scanned_nor_watched(station, new_venv):
    station.deploy("shop/a.py", facts())
    before = watches(station)
    venv = new_venv(station.objects / "shop/venv")
    for n in range(50):
        venv.install(f"parcel{n}", f"VALUE = {n}\n")
    (station.objects / "shop/venv/loose.py").write_text(facts())
    imports = "\n".join(f"import parcel{n}" for n in range(50))
    station.deploy("shop/b.py", facts(imports, "parcel49.VALUE"))
    assert station.get("/objects/shop_b").json()["value"] == 49
    assert station.object_ids() == ["shop_a", "shop_b"]
    assert watches(station) == before
    station.restart()
    assert station.get("/objects/shop_b").json()["value"] == 49
    assert station.object_ids() == ["shop_a", "shop_b"]


# --- a missing package ---

def test_a_missing_package_is_named_with_the_way_to_install_it(shared, new_venv):
    shared.allow("does not load")
    code = "import os\nimport yaml_of_ours.deep\n" + facts()
    reply = shared.request("PUT", "/objects/missing?source=true", {"code": code})
    assert reply.status == 422, reply
    error = reply.json()["error"] + str(reply.json())
    assert "No module named 'yaml_of_ours'" in error
    assert "apt install python3-yaml-of-ours" in error
    assert f"{shared.objects}/venv/bin/pip install yaml_of_ours" in error
    assert reply.json()["line"] == 2
    code = "import json.nothing\n" + facts()
    reply = shared.request("PUT", "/objects/missing?source=true", {"code": code})
    assert reply.status == 422 and "install" not in reply.json()["error"]


@pytest.mark.parametrize("name,told", [
    ("_prices_of_ours", None), ("a b; rm x", None), ("json.nothing", None),
    ("tkinter", "a part of Python; install it with: apt install python3-tk"),
], ids=["own", "no name", "module", "part"])
def test_what_is_no_package_is_not_to_be_installed(shared, name, told):
    shared.allow("does not load")
    code = f"raise ModuleNotFoundError('No module', name={name!r})\n"
    reply = shared.request("PUT", "/objects/missing?source=true", {"code": code})
    assert reply.status == 422, reply
    error = reply.json()["error"]
    assert told in error if told else "install" not in error, error


def test_it_heals_when_the_package_is_installed(station, new_venv):
    venv = new_venv(station.objects / "venv")
    station.deploy("a.py", facts(value="1"))
    assert station.get("/objects/a").json()["value"] == 1
    station.allow("does not load")
    station.put("a.py", facts("import parcel", "parcel.VALUE"))

    def newest():
        return station.get("/objects/a?versions=true").json()["versions"][0]

    wait_until(lambda: newest().get("status") == "rejected")
    pip = f"{venv.folder}/bin/pip install parcel"
    assert pip in newest()["reason"] and "apt" not in newest()["reason"], newest()
    assert station.get("/objects/a").json()["value"] == 1  # the old one goes on
    venv.install("parcel", "VALUE = 2\n")
    wait_until(lambda: station.get("/objects/a").json().get("value") == 2)


def test_outside_the_objects_folder_the_next_start_heals(new_station, new_venv, tmp_path):
    venv = new_venv(tmp_path / "env")
    station = new_station(config={"workers": {"venv": venv.folder}}).start()
    station.allow("does not load")
    station.deploy("a.py", facts("import parcel", "parcel.VALUE"))
    reply = station.get("/objects/a")
    assert reply.status == 500 and f"{venv.folder}/bin/pip install parcel" in reply.json()["error"]
    venv.install("parcel", "VALUE = 3\n")  # the nursery is as it was
    wait_until(lambda: station.get("/objects/a").status == 200)


@pytest.mark.skipif(not LONG, reason="OBJECTD_LONG is not set")
def test_the_command_works_as_printed(station, made, tmp_path):
    """The hint of an object without any virtual environment, with a wheel from a folder."""
    if subprocess.run([python_of_workers(), "-c", "import ensurepip"]).returncode:
        pytest.skip("python3-venv is not installed")
    name = "parcel-1.0-py3-none-any.whl"
    with zipfile.ZipFile(tmp_path / name, "w") as wheel:
        wheel.writestr("parcel/__init__.py", "VALUE = 'a wheel'\n")
        wheel.writestr("parcel-1.0.dist-info/METADATA",
                       "Metadata-Version: 2.1\nName: parcel\nVersion: 1.0\n")
        wheel.writestr("parcel-1.0.dist-info/WHEEL",
                       "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr("parcel-1.0.dist-info/RECORD", "")
    station.allow("does not load")
    station.deploy("a.py", facts("import parcel", "parcel.VALUE"))
    error = station.get("/objects/a").json()["error"]
    command = re.search(r"virtual environment: (.*? install parcel)", error).group(1)
    assert command.startswith(f"{python_of_workers()} -m venv {station.objects}/venv && ")
    done = subprocess.run(command + f" --no-index --find-links {tmp_path}", shell=True,
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    wait_until(lambda: station.get("/objects/a").status == 200)
    assert station.get("/objects/a").json()["value"] == "a wheel"
